"""`iip refresh` and `iip status`: the graph as it stands."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import (
    AsJson,
    command_on,
    complete_asset,
    open_refresher,
    print_json,
    stdout_kept_clean,
    stoppable,
)
from iip_assets.dataset.edited_files import edited_files
from iip_assets.engine.actions import part_log
from iip_assets.engine.noop_cache import read_noop_cache, write_noop_cache
from iip_assets.engine.pages import report_page
from iip_assets.engine.reasons import by_reason, in_words
from iip_assets.errors import counted
from iip_assets.report.blocks import FIGURE, Column, Row, Table, Tone
from iip_assets.report.text import STYLES, print_blocks, print_text
from iip_assets.where import WATCHED_FILES, find_workspace

if TYPE_CHECKING:
    from rich.tree import Tree

    from iip_assets.engine.causes import Explanation, Link
    from iip_assets.engine.dagster.refresh import Refreshed
    from iip_assets.engine.plan import Planned
    from iip_assets.engine.project import EventLog
    from iip_assets.engine.reasons import Reason
    from iip_assets.engine.staleness import State

_MOST_EDITED = 5
_TONES: dict[str, Tone] = {
    "fresh": "good",
    "stale": "warn",
    "missing": "warn",
    "failed": "bad",
    "blocked": "bad",
}


def refresh(
    assets: Annotated[
        list[str] | None,
        typer.Argument(help="Only these, and what they need.", autocompletion=complete_asset),
    ] = None,
    as_json: AsJson = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, and why.")
    ] = False,
    force: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ASSET",
            autocompletion=complete_asset,
            help="Compute this again, every image of it, though its result is recorded; may be "
            "repeated.",
        ),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(help="Also write metrics.json and tables for DVC into this folder."),
    ] = None,
) -> None:
    """Bring every asset up to date, computing only what is stale, down to the single image."""
    started = time.monotonic()
    whole = not assets and not force and metrics is None
    cached = read_noop_cache(find_workspace()) if whole else None
    if dry_run:
        planned = [] if cached else open_refresher().plan(assets or (), force=force or ())
        if as_json:
            print_json(_plan_json(planned))
        else:
            _print_plan(planned)
        return
    if cached:
        from iip_assets.engine.dagster.refresh import summarise

        events: EventLog = cached.events
        result = summarise(cached.states(), {}, {}, time.monotonic() - started, None)
    else:
        with stoppable("stopped; the next refresh goes on from here"), stdout_kept_clean():
            refresher = open_refresher()
            result = refresher.refresh(assets or (), force=force or ())
        events = refresher.events()
        if metrics is not None:
            from iip_assets.cli.show import write_dvc_outputs

            write_dvc_outputs(refresher.project, metrics)
    if as_json:
        print_json(result.as_json())
    else:
        report_due = not cached and refresher.states()["pipeline_report"].due
        _print_refreshed(find_workspace(), result, events, report_due=report_due)
    if not cached:
        write_noop_cache(refresher, watched=WATCHED_FILES)
    if result.failed:
        raise typer.Exit(1)


def status(
    as_json: AsJson = False,
    why: Annotated[
        str | None,
        typer.Option(
            metavar="ASSET",
            autocompletion=complete_asset,
            help="Of this one alone the whole chain of reasons, down to the causes.",
        ),
    ] = None,
) -> None:
    """Show how every asset stands and, where it is stale, why."""
    if why is not None:
        explanation = open_refresher().explain(why)
        if as_json:
            print_json(explanation.as_json())
        else:
            _print_explanation(explanation)
        return
    if cached := read_noop_cache(find_workspace()):
        rooms, states = cached.rooms, cached.states()
    else:
        refresher = open_refresher()
        graph, states = refresher.project.graph, refresher.states()
        rooms = {name: asset.room for name, asset in graph.assets.items()}
        write_noop_cache(refresher, watched=WATCHED_FILES)
    if as_json:
        shown = {
            name: {
                "state": state.state,
                "reasons": in_words(state.reasons),
                "data_version": state.data_version,
                "skipped": state.skipped,
            }
            for name, state in states.items()
        }
        print_json({"assets": shown, "edited_files": edited_files(find_workspace())})
        return
    _print_states(rooms, states)
    _print_edited(find_workspace())


def _print_refreshed(
    root: Path, result: Refreshed, events: EventLog, *, report_due: bool = False
) -> None:
    """What was computed, the headline numbers, where to look next; last, what is wrong."""
    if not (result.computed or result.described or result.failed):
        print_text(f"Nothing had to be computed ({result.seconds:.1f} s).")
    elif result.computed:
        made = f"Computed {counted(len(result.computed), 'asset')} in {result.seconds:.0f} s"
        too = f", skipped {len(result.skipped)}" if result.skipped else ""
        print_text(f"{made}, reused {len(result.reused)}{too}.")
    if result.described:
        names = ", ".join(result.described)
        print_text(f"Described or checked again, with the values as they were: {names}.")
    for name, same in result.forced.items():
        text = "came out equal" if same else "came out different, and replaces what was recorded"
        print_text(f"  {name}, computed again, {text}")
    for name, counts in result.images.items():
        if counts["computed"]:
            print_text(
                f"  {name}: {counted(counts['computed'], 'image')} computed, "
                f"{counts['reused']:,} reused"
            )
    for reason, skipped in by_reason(result.skipped).items():
        print_text("  ", (", ".join(skipped), "bold"), f" skipped: {reason}")
    judged = {*result.computed, *result.described, *result.reused}
    if "model_evaluation" in judged and (headline := _headline(root, events)):
        columns: list[Column | str] = ["model", Column("metric", "metric"), "value", "n_images"]
        print_blocks(Table("Held-out subjects", columns, headline))
    _print_edited(root)
    page = report_page(root / ".iip", "pipeline_report")
    if page.exists():
        old = " (out of date: `iip refresh`)" if report_due else ""
        print_text(f"Report:     {page}{old}", wrap=False)
    # In this repository's own clone `iip` is on nobody's path yet.
    print_text(f"Dagster UI: {'make ui' if (root / 'Makefile').exists() else 'iip ui'}")
    for word in ("blocked", "failed"):
        for name, reason in getattr(result, word).items():
            print_text((name, "bold"), f" {word}: {reason}")


def _print_edited(root: Path) -> None:
    """Label files whose edits the graph does not see, and what to do."""
    edited = edited_files(root)
    if not edited:
        return
    print_text(
        "data/ differs from what DVC tracks, and what DVC tracks counts:",
        *(f" data/{path}" for path in edited[:_MOST_EDITED]),
        f" and {len(edited) - _MOST_EDITED} more" if len(edited) > _MOST_EDITED else "",
    )
    # Of a folder, `dvc add` would also take what is not checked out there out of the data.
    paths = [f"data/{path}" for path in edited]
    add = command_on("dvc add", paths, most=_MOST_EDITED)
    back = command_on("dvc checkout --force", paths, most=_MOST_EDITED)
    print_text(f"To take the edits: {add}, and `git commit data.dvc`.", wrap=False)
    print_text(f"To undo them (a new file is deleted): {back}.", wrap=False)


def _headline(root: Path, events: EventLog) -> Sequence[Row]:
    """The metrics in the description of the present evaluation; none where there is none."""
    latest, part = events.materialized("model_evaluation"), "model_evaluation.describe"
    key = latest.parts.get(part) if latest else None
    record = part_log(root / ".iip").find(part, key) if key else None
    return record.result.get("overall", {}).get("value", []) if record else []


def _print_states(rooms: Mapping[str, str], states: Mapping[str, State]) -> None:
    """Every asset with its room, its state and the reasons in words."""
    rows = []
    for name, state in states.items():
        skipped = f"skipped: {state.skipped}" if state.skipped else ""
        reasons = _briefly(state.reasons) or skipped
        rows.append({"asset": name, "room": rooms[name], "state": state.state, "reasons": reasons})
    colored = Column("state", "state", tone=lambda row: _TONES[row["state"]])
    print_blocks(Table("", ["asset", "room", colored, "reasons"], rows))
    due = sum(state.due for state in states.values())
    blocked = sum(state.state == "blocked" for state in states.values())
    if due:
        print_text(f"{due} due; `iip refresh` runs them.")
    elif not blocked:
        print_text("Everything is up to date.")
    if blocked:
        print_text(f"{blocked} blocked: fix what the check above them found.")


def _briefly(reasons: Sequence[Reason]) -> str:
    """The reasons; of what stands above, the first and a number, as `--why` tells them all."""
    above = [str(reason) for reason in reasons if reason.kind == "upstream"]
    more = f" and {len(above) - 1} more" if len(above) > 1 else ""
    own = in_words(reason for reason in reasons if reason.kind != "upstream")
    return "; ".join([*own, *above[:1]]) + more


def _print_explanation(explanation: Explanation) -> None:
    """The chain of reasons as a tree, then the causes at its ends."""
    chain = explanation.chain
    if chain.state == "fresh":
        print_text(f"{chain.asset} is up to date.")
        return
    from rich.console import Console

    Console(highlight=False).print(_tree(chain))
    for cause in explanation.causes:
        alone = f", {cause.freed} of them by it alone" if cause.freed < cause.held else ""
        held = f"(holds {cause.held} assets{alone})"
        print_text((cause.asset, "bold"), f": {cause.reason} {held}")
        for detail in cause.details:
            print_text(f"  {detail}")


def _tree(link: Link) -> Tree:
    from rich.text import Text
    from rich.tree import Tree

    reasons = "; ".join(link.reasons)
    state = (link.state, STYLES[_TONES[link.state]])
    tree = Tree(Text.assemble(f"{link.asset} ", state, f": {reasons}" if reasons else ""))
    for one in link.above:
        tree.children.append(_tree(one))
    return tree


def _plan_json(planned: list[Planned]) -> dict[str, Any]:
    known = [one.seconds for one in planned if one.seconds is not None]
    return {
        "due": [one.as_json() for one in planned],
        "images": sum(one.images or 0 for one in planned),
        "seconds": round(sum(known), 3),
    }


def _print_plan(planned: list[Planned]) -> None:
    """What a refresh would run, over how many images, for how long."""
    if not planned:
        print_text("Nothing is due.")
        return
    rows = []
    for one in planned:
        reasons = _briefly(one.reasons)
        if one.known:
            reasons += "; the value stands" if one.parts else "; was computed before"
        about = {"images": _images(one), "seconds": _seconds(one.seconds)}
        rows.append({"asset": one.asset, "reasons": reasons, **about})
    numbers = [Column("images", "images", FIGURE), Column("about, s", "seconds", FIGURE)]
    print_blocks(Table("", ["asset", "reasons", *numbers], rows))
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
    print_text(f"{text}. What turns out equal is reused.")


def _images(one: Planned) -> str:
    if one.images is None:
        return ""
    return f"{one.images}" if one.exact or not one.images else f"≤ {one.images}"


def _seconds(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"
