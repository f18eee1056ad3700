"""What the terminal shows of a refresh, of the states, of a plan and of garbage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from iip_assets.engine.causes import Explanation, Link
from iip_assets.engine.dagster.refresh import Refreshed
from iip_assets.engine.event_cache import present_ledger
from iip_assets.engine.garbage import Garbage
from iip_assets.engine.perform import report_page
from iip_assets.engine.plan import Planned
from iip_assets.engine.project import Project
from iip_assets.engine.reasons import Reason, in_words
from iip_assets.engine.staleness import State
from iip_assets.engine.values import Skipped
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import FIGURE, TEXT, Column, Table, Tone
from iip_assets.report.terminal import STYLES, show

# Of all metrics, those that the terminal shows; the report has the rest.
_SHOWN = (*(task.headline for task in TASKS.values()), "auc_macro", "map", "iou_")

_TONES: dict[str, Tone] = {
    "fresh": "good",
    "stale": "warn",
    "missing": "warn",
    "failed": "bad",
    "blocked": "bad",
}


# Rows of the table of metrics.
Headline = Sequence[Mapping[str, Any]]


def print_refreshed(root: Path, result: Refreshed, headline: Headline) -> None:
    """What was computed, what is wrong, the headline numbers, and where to look next."""
    console = Console()
    _print_outcome(console, result)
    if headline:
        columns: list[Column | str] = ["model", Column("metric", "metric"), "value", "n_images"]
        show(Table("Held-out subjects", columns, headline))
    page = report_page(root / ".iip", "pipeline_report")
    if page.exists():
        console.print(f"Report:     {page}", highlight=False, soft_wrap=True)
    # In this repository's own clone `iip` is on nobody's path yet.
    ui = "make ui" if (root / "Makefile").exists() else "iip ui"
    console.print(f"Dagster UI: {ui}", highlight=False)


def _print_outcome(console: Console, result: Refreshed) -> None:
    """What was computed, described and reused, and what is wrong."""
    if not (result.computed or result.described or result.failed):
        console.print(f"Nothing had to be computed ({result.seconds:.1f} s).", highlight=False)
    elif result.computed:
        console.print(
            f"Computed {len(result.computed)} assets in {result.seconds:.0f} s, "
            f"reused {len(result.reused)}.",
            highlight=False,
        )
    if result.described:
        console.print(
            f"Described or checked again, with the values as they were: "
            f"{', '.join(result.described)}.",
            highlight=False,
        )
    for name, same in result.forced.items():
        text = "came out equal" if same else "came out different, and replaces what was recorded"
        console.print(f"  {name}, computed again, {text}", highlight=False)
    for name, counts in result.images.items():
        if counts["computed"]:
            text = f"  {name}: {counts['computed']} images computed, {counts['reused']} reused"
            console.print(text, highlight=False)
    for word, reasons in (
        ("failed", result.failed),
        ("blocked", result.blocked),
        ("skipped", result.skipped),
    ):
        for name, reason in reasons.items():
            console.print(f"  [bold]{name}[/] {word}: {escape(reason)}", highlight=False)


def headline_of(project: Project) -> Headline:
    """The headline numbers of the present evaluation; empty where there is none."""
    try:
        evaluation = project.load("model_evaluation", present_ledger(project))
    except LookupError:
        return []
    if isinstance(evaluation, Skipped):
        return []
    from iip_assets.evaluation.summary import overall_rows

    names = ("model", "metric", "value", "low", "high", "n_images")
    return [
        {name: row[name] for name in names}
        for row in overall_rows(evaluation["metrics"]).iter_rows(named=True)
        if row["value"] is not None and row["metric"].startswith(_SHOWN)
    ]


def print_states(rooms: Mapping[str, str], states: Mapping[str, State]) -> None:
    """Every asset with its room, its state and the reasons in words."""
    console = Console()
    rows = [
        {
            "asset": name,
            "room": rooms[name],
            "state": state.state,
            "reasons": _briefly(state.reasons)
            or (f"skipped: {state.skipped}" if state.skipped else ""),
        }
        for name, state in states.items()
    ]
    columns: list[Column | str] = [
        "asset",
        "room",
        Column("state", "state", tone=lambda row: _TONES[row["state"]]),
        "reasons",
    ]
    show(Table("", columns, rows))
    due = sum(state.due for state in states.values())
    blocked = sum(state.state == "blocked" for state in states.values())
    if due:
        console.print(f"{due} due; `iip refresh` runs them.")
    elif not blocked:
        console.print("Everything is up to date.")
    if blocked:
        console.print(f"{blocked} blocked: fix what the check above them found.")


def _briefly(reasons: Sequence[Reason]) -> str:
    """The reasons; of what stands above, the first and a number, as `--why` tells them all."""
    above = [str(reason) for reason in reasons if reason.kind == "upstream"]
    more = f" and {len(above) - 1} more" if len(above) > 1 else ""
    own = in_words(reason for reason in reasons if reason.kind != "upstream")
    return "; ".join([*own, *above[:1]]) + more


def print_explanation(explanation: Explanation) -> None:
    """The chain of reasons as a tree, then the causes at its ends."""
    console = Console()
    chain = explanation.chain
    if chain.state == "fresh":
        console.print(f"{chain.asset} is up to date.", highlight=False)
        return
    tree = Tree(_link_text(chain))
    _grow(tree, chain)
    console.print(tree)
    for cause in explanation.causes:
        alone = f", {cause.freed} of them by it alone" if cause.freed < cause.held else ""
        console.print(
            f"[bold]{escape(cause.asset)}[/]: {escape(cause.reason)} "
            f"(holds {cause.held} assets{alone})",
            highlight=False,
        )
        for detail in cause.details:
            console.print(f"  {escape(detail)}", highlight=False)


def _grow(tree: Tree, link: Link) -> None:
    for one in link.above:
        _grow(tree.add(_link_text(one)), one)


def _link_text(link: Link) -> str:
    colour = STYLES[_TONES[link.state]]
    reasons = escape("; ".join(link.reasons))
    return f"{link.asset} [{colour}]{link.state}[/]" + (f": {reasons}" if reasons else "")


def print_plan(planned: list[Planned]) -> None:
    """What a refresh would run, over how many images, for how long."""
    console = Console()
    if not planned:
        console.print("Nothing is due.")
        return
    rows = []
    for one in planned:
        reasons = _briefly(one.reasons)
        if one.known:
            reasons += "; the value stands" if one.parts else "; was computed before"
        numbers = {"images": _images(one), "about, s": _seconds(one.seconds)}
        rows.append({"asset": one.asset, "reasons": reasons, **numbers})
    columns = [Column(name, name, FIGURE if name in numbers else TEXT) for name in rows[0]]
    show(Table("", columns, rows))
    known = [one.seconds for one in planned if one.seconds is not None]
    images = [one.images for one in planned if one.images is not None]
    text = f"{len(planned)} assets are due"
    if images and not sum(images):
        text += ", no image to compute"
    elif images:
        sure = all(one.exact for one in planned)
        text += f", {'' if sure else 'at most about '}{sum(images)} images in all"
    if known:
        text += f"; at most about {_seconds(sum(known))} s"
        text += f", going by {len(known)} of them" if len(known) < len(planned) else ""
    console.print(f"{text}. What turns out equal is reused.", highlight=False)


def _images(one: Planned) -> str:
    if one.images is None:
        return ""
    return f"{one.images}" if one.exact or not one.images else f"≤ {one.images}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def print_garbage(garbage: Garbage) -> None:
    """What `iip gc` frees, by kind, and what it looked at."""
    console = Console()
    console.print(
        f"Kept: what is materialized, the working tree, and {garbage.revisions} states of git "
        "revisions (all branches, tags and stashes).",
        highlight=False,
    )
    if garbage.unknown_versions:
        console.print(
            f"No rows of images can be deleted: the listing of {garbage.unknown_versions[0]} is "
            "neither in the DVC cache nor in the remote, so its images are not known; `dvc fetch "
            "--all-commits` may bring it.",
            highlight=False,
        )
    if garbage.empty:
        console.print("There is nothing to free.")
        return
    kinds: dict[str, Mapping[Any, int]] = {
        "artifacts": garbage.artifacts,
        "action records": garbage.records,
        "feature tables": garbage.tables,
        "reports": garbage.reports,
    }
    rows: list[tuple[str, int, str]] = [
        (what, len(sizes), f"{sum(sizes.values()) / 1e6:.1f}")
        for what, sizes in kinds.items()
        if sizes
    ]
    losing = {name: count for name, count in garbage.rows.items() if count}
    rows += [
        (f"rows of images in {name}, and its older versions", count, "")
        for name, count in losing.items()
    ]
    if len(losing) < len(garbage.rows):
        older = len(garbage.rows) - len(losing)
        rows.append(("feature tables that stay: their older versions", older, ""))
    names = ("what", "number", "MB")
    columns = [Column(name, name, FIGURE if name != "what" else TEXT) for name in names]
    show(Table("", columns, [dict(zip(names, row, strict=True)) for row in rows]))
    if garbage.store and garbage.artifacts:
        console.print(
            f"The artifacts are in {garbage.store}: another workspace that keeps its own there "
            "would have to compute them again.",
            highlight=False,
        )
