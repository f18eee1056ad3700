"""What the terminal shows of a refresh, of the states, of a plan and of garbage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
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
from iip_assets.report.blocks import FIGURE, Column, Row, Table, Tone
from iip_assets.report.text import STYLES, show, write

# Of all metrics, those that the terminal shows; the report has the rest.
_SHOWN = (*(task.headline for task in TASKS.values()), "auc_macro", "map", "iou_")

_TONES: dict[str, Tone] = {
    "fresh": "good",
    "stale": "warn",
    "missing": "warn",
    "failed": "bad",
    "blocked": "bad",
}


def print_refreshed(root: Path, result: Refreshed, headline: Sequence[Row]) -> None:
    """What was computed, what is wrong, the headline numbers, and where to look next."""
    if not (result.computed or result.described or result.failed):
        write(f"Nothing had to be computed ({result.seconds:.1f} s).")
    elif result.computed:
        seconds = f"{result.seconds:.0f} s"
        write(f"Computed {len(result.computed)} assets in {seconds}, reused {len(result.reused)}.")
    if result.described:
        names = ", ".join(result.described)
        write(f"Described or checked again, with the values as they were: {names}.")
    for name, same in result.forced.items():
        text = "came out equal" if same else "came out different, and replaces what was recorded"
        write(f"  {name}, computed again, {text}")
    for name, counts in result.images.items():
        if counts["computed"]:
            write(f"  {name}: {counts['computed']} images computed, {counts['reused']} reused")
    for word in ("failed", "blocked", "skipped"):
        for name, reason in getattr(result, word).items():
            write("  ", (name, "bold"), f" {word}: {reason}")
    if headline:
        columns: list[Column | str] = ["model", Column("metric", "metric"), "value", "n_images"]
        show(Table("Held-out subjects", columns, headline))
    page = report_page(root / ".iip", "pipeline_report")
    if page.exists():
        write(f"Report:     {page}", wrap=False)
    # In this repository's own clone `iip` is on nobody's path yet.
    write(f"Dagster UI: {'make ui' if (root / 'Makefile').exists() else 'iip ui'}")


def headline_of(project: Project) -> Sequence[Row]:
    """The headline numbers of the present evaluation; empty where there is none."""
    try:
        evaluation = project.load("model_evaluation", present_ledger(project))
    except LookupError:
        return []
    if isinstance(evaluation, Skipped):
        return []
    from iip_assets.evaluation.evaluation_rows import overall_rows

    rows = overall_rows(evaluation["metrics"]).drop_nulls("value")
    rows = rows.select("model", "metric", "value", "low", "high", "n_images")
    return [row for row in rows.iter_rows(named=True) if row["metric"].startswith(_SHOWN)]


def print_states(rooms: Mapping[str, str], states: Mapping[str, State]) -> None:
    """Every asset with its room, its state and the reasons in words."""
    rows = []
    for name, state in states.items():
        skipped = f"skipped: {state.skipped}" if state.skipped else ""
        reasons = _briefly(state.reasons) or skipped
        rows.append({"asset": name, "room": rooms[name], "state": state.state, "reasons": reasons})
    colored = Column("state", "state", tone=lambda row: _TONES[row["state"]])
    show(Table("", ["asset", "room", colored, "reasons"], rows))
    due = sum(state.due for state in states.values())
    blocked = sum(state.state == "blocked" for state in states.values())
    if due:
        write(f"{due} due; `iip refresh` runs them.")
    elif not blocked:
        write("Everything is up to date.")
    if blocked:
        write(f"{blocked} blocked: fix what the check above them found.")


def _briefly(reasons: Sequence[Reason]) -> str:
    """The reasons; of what stands above, the first and a number, as `--why` tells them all."""
    above = [str(reason) for reason in reasons if reason.kind == "upstream"]
    more = f" and {len(above) - 1} more" if len(above) > 1 else ""
    own = in_words(reason for reason in reasons if reason.kind != "upstream")
    return "; ".join([*own, *above[:1]]) + more


def print_explanation(explanation: Explanation) -> None:
    """The chain of reasons as a tree, then the causes at its ends."""
    chain = explanation.chain
    if chain.state == "fresh":
        write(f"{chain.asset} is up to date.")
        return
    Console(highlight=False).print(_tree(chain))
    for cause in explanation.causes:
        alone = f", {cause.freed} of them by it alone" if cause.freed < cause.held else ""
        held = f"(holds {cause.held} assets{alone})"
        write((cause.asset, "bold"), f": {cause.reason} {held}")
        for detail in cause.details:
            write(f"  {detail}")


def _tree(link: Link) -> Tree:
    reasons = "; ".join(link.reasons)
    state = (link.state, STYLES[_TONES[link.state]])
    tree = Tree(Text.assemble(f"{link.asset} ", state, f": {reasons}" if reasons else ""))
    for one in link.above:
        tree.children.append(_tree(one))
    return tree


def print_plan(planned: list[Planned]) -> None:
    """What a refresh would run, over how many images, for how long."""
    if not planned:
        write("Nothing is due.")
        return
    rows = []
    for one in planned:
        reasons = _briefly(one.reasons)
        if one.known:
            reasons += "; the value stands" if one.parts else "; was computed before"
        about = {"images": _images(one), "seconds": _seconds(one.seconds)}
        rows.append({"asset": one.asset, "reasons": reasons, **about})
    numbers = [Column("images", "images", FIGURE), Column("about, s", "seconds", FIGURE)]
    show(Table("", ["asset", "reasons", *numbers], rows))
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
    write(f"{text}. What turns out equal is reused.")


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
    write(
        f"Kept: what is materialized, the working tree, and {garbage.revisions} states of git "
        "revisions (all branches, tags and stashes)."
    )
    if garbage.unknown_versions:
        write(
            f"No rows of images can be deleted: the listing of {garbage.unknown_versions[0]} is "
            "neither in the DVC cache nor in the remote, so its images are not known; `dvc fetch "
            "--all-commits` may bring it."
        )
    if garbage.empty:
        write("There is nothing to free.")
        return
    kinds: dict[str, Mapping[Any, int]] = {
        "artifacts": garbage.artifacts,
        "action records": garbage.records,
        "feature tables": garbage.tables,
        "reports": garbage.reports,
    }
    rows: list[tuple[str, int, str]] = [
        (kind, len(sizes), f"{sum(sizes.values()) / 1e6:.1f}")
        for kind, sizes in kinds.items()
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
    columns = [Column(name, name, FIGURE) for name in ("number", "MB")]
    records = [{"what": what, "number": number, "MB": size} for what, number, size in rows]
    show(Table("", ["what", *columns], records))
    if garbage.store and garbage.artifacts:
        write(
            f"The artifacts are in {garbage.store}: another workspace that keeps its own there "
            "would have to compute them again."
        )
