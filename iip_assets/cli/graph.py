"""`iip refresh`, `iip status` and `iip show`: the graph as it stands."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from iip_assets.cli.common import (
    AsJson,
    keep_look,
    look_again,
    open_refresher,
    print_json,
    stdout_kept_clean,
)
from iip_assets.where import find_workspace


def refresh(
    assets: Annotated[
        list[str] | None, typer.Argument(help="Only these, and what they need.")
    ] = None,
    as_json: AsJson = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, and why.")
    ] = False,
    force: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ASSET",
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
    cached = look_again(for_people=not as_json) if whole else None
    if dry_run:
        planned = [] if cached else open_refresher().plan(assets or (), force=force or ())
        _print_plan(planned, as_json)
        return
    headline: Any = None
    if cached:
        from iip_assets.engine.dagster.refresh import summarise

        headline = cached.notes.get("headline")
        result = summarise(cached.states(), {}, {}, time.monotonic() - started, None)
    else:
        refresher = open_refresher()
        with stdout_kept_clean():
            result = refresher.refresh(assets or (), force=force or ())
        if metrics is not None:
            from iip_assets.cli.values import write_dvc_outputs

            write_dvc_outputs(refresher.project, metrics)
        if not as_json:
            from iip_assets.cli.summary import headline_of

            headline = headline_of(refresher.project)
    if as_json:
        print_json(result.as_json())
    else:
        from iip_assets.cli.summary import print_refreshed

        print_refreshed(find_workspace(), result, headline)
    if not cached:
        keep_look(refresher, headline=headline)
    if result.failed:
        raise typer.Exit(1)


def status(
    as_json: AsJson = False,
    why: Annotated[
        str | None,
        typer.Option(
            metavar="ASSET",
            help="Of this one alone the whole chain of reasons, down to the causes.",
        ),
    ] = None,
) -> None:
    """Show how every asset stands and, where it is stale, why."""
    if why is not None:
        explanation = open_refresher().explain(why)
        if as_json:
            print_json(explanation.as_json())
            return
        from iip_assets.cli.summary import print_explanation

        print_explanation(explanation)
        return
    cached = look_again(for_people=False)
    if cached:
        rooms, states = cached.rooms, cached.states()
    else:
        refresher = open_refresher()
        graph, states = refresher.project.graph, refresher.states()
        rooms = {name: asset.room for name, asset in graph.assets.items()}
        keep_look(refresher, headline=None)
    if as_json:
        from iip_assets.engine.reasons import in_words

        shown = {
            name: {
                "state": state.state,
                "reasons": in_words(state.reasons),
                "data_version": state.data_version,
                "skipped": state.skipped,
            }
            for name, state in states.items()
        }
        print_json({"assets": shown})
        return
    from iip_assets.cli.summary import print_states

    print_states(rooms, states)


def show(
    asset: Annotated[str, typer.Argument(help="The asset's name, as `iip status` lists it.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write the value here: a table as .csv or .parquet, a page as .html…"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an asset holds, how it was made, and what its checks said."""
    from iip_assets.cli.values import export_value, print_asset

    project = open_refresher().project
    if asset not in project.graph.assets:
        raise KeyError(f"there is no asset {asset!r}; there are {', '.join(project.graph.assets)}")
    if out is not None:
        typer.echo(f"wrote {export_value(project, asset, out)}")
        return
    print_asset(project, asset, as_json=as_json)


def _print_plan(planned: list[Any], as_json: bool) -> None:
    if as_json:
        known = [one.seconds for one in planned if one.seconds is not None]
        shown = {
            "due": [one.as_json() for one in planned],
            "images": sum(one.images or 0 for one in planned),
            "seconds": round(sum(known), 3),
        }
        print_json(shown)
        return
    from iip_assets.cli.summary import print_plan

    print_plan(planned)
