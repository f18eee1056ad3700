"""Sweeps at the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from iip_assets.cli.estimate_text import estimate
from iip_assets.metrics.display_names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.sweeps.plan import Plan
from iip_assets.sweeps.study import Done


def print_sweeps(rows: Sequence[Mapping[str, Any]]) -> None:
    """A line a sweep."""
    table = Table("sweep", "model", "sampler", "objectives", "trials", "failed", "best")
    for row in rows:
        best = "" if row["best"] is None else f"{row['best']:.3f}"
        counts = (str(row["trials"]), str(row["failed"]))
        words = (row["sweep"], row["model"], row["sampler"], ", ".join(row["objectives"]))
        table.add_row(*words, *counts, best)
    Console().print(table)


def print_trials(plan: Plan, done: Sequence[Done], importances: Mapping[str, float]) -> None:
    """A line a trial, the best ones in bold; then how much each setting mattered."""
    short = [path.partition(".")[2].replace("_", "\n") for path in plan.space]
    table = Table("trial", title=f"{plan.name}, a {plan.model}", title_justify="left")
    # What was searched for, and why a trial failed, are broken rather than cut off.
    for name in short:
        table.add_column(name, overflow="fold")
    for name in (spelled(TASKS[plan.model].headline), "ms a\nimage", "s"):
        table.add_column(name, no_wrap=True)
    table.add_column("", overflow="fold")
    for one in done:
        if one.quality is None:
            facts = ["", "", "", f"failed: {escape(str(one.reason))}"]
        else:
            facts = [
                estimate(one.quality, one.low, one.high),
                f"{one.latency_ms:.1f}",
                f"{one.seconds:.0f}",
                "best" if one.best else "",
            ]
        values = [_short(one.values.get(path)) for path in plan.space]
        table.add_row(str(one.number), *values, *facts, style="bold" if one.best else "")
    console = Console()
    console.print(table)
    if importances:
        shares = ", ".join(f"{path} {share:.0%}" for path, share in importances.items())
        judged = sum(one.quality is not None for one in done)
        console.print(f"share of the spread in quality, over {judged} trials: {shares}")


def _short(value: object) -> str:
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
