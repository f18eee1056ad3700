"""Sweeps at the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from iip_assets.report.blocks import FIGURE, Column, Paragraph, Row, Table, number, short_number
from iip_assets.report.terminal import show
from iip_assets.sweeps.page import trial_columns
from iip_assets.sweeps.plan import Plan
from iip_assets.sweeps.study import Done


def print_sweeps(rows: Sequence[Row]) -> None:
    """A line a sweep."""
    columns: list[Column | str] = [
        "sweep",
        "model",
        "sampler",
        Column("objectives", lambda row: ", ".join(row["objectives"])),
        *(Column(name, name, FIGURE) for name in ("trials", "failed")),
        Column("best", lambda row: "" if row["best"] is None else number(row["best"]), FIGURE),
    ]
    show(Table("", columns, rows))


def print_trials(plan: Plan, done: Sequence[Done], importances: Mapping[str, float]) -> None:
    """A line a trial, the best ones in bold; then how much each setting mattered."""
    columns = trial_columns(
        plan, lambda path: path.partition(".")[2].replace("_", "\n"), ends=short_number
    )
    rows = [vars(one) for one in done]
    caption = f"{plan.name}, a {plan.model}"
    show(Table(caption, columns, rows, tone=lambda row: "strong" if row["best"] else ""))
    if importances:
        shares = ", ".join(f"{path} {share:.0%}" for path, share in importances.items())
        judged = sum(one.quality is not None for one in done)
        show(Paragraph(f"share of the spread in quality, over {judged} trials: {shares}"))
