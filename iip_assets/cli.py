"""The `iip` command: thin verbs over what the rooms do.

Results go to stdout, words about them to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Data-centric iteration on an iris-image pipeline: see what is stale, compute only that.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def main() -> None:
    """Runs the command line; an error that a person can mend ends in one line, no traceback."""
    from iip_assets.errors import USER_ERRORS

    try:
        app()
    except USER_ERRORS as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        typer.echo(f"iip: {message}", err=True)
        sys.exit(1)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must be new or empty.")],
) -> None:
    """Make a workspace of your own: git, DVC, iip.toml, dvc.yaml, workspace.yaml and an inbox."""
    from iip_assets.workspace.init import NEXT_STEPS, init_workspace

    init_workspace(folder, say=_say)
    typer.echo(NEXT_STEPS.format(folder=folder))


@app.command()
def refresh(
    assets: Annotated[
        list[str] | None, typer.Argument(help="Only these, and what they need.")
    ] = None,
    as_json: AsJson = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would run, and why.")
    ] = False,
    metrics: Annotated[
        Path | None,
        typer.Option(help="Also write metrics.json and tables for DVC into this folder."),
    ] = None,
) -> None:
    """Bring every asset up to date, computing only what is stale, down to the single image."""
    refresher = _refresher()
    if dry_run:
        _print_plan(refresher.plan(assets or ()), as_json)
        return
    with _stdout_kept_clean():
        result = refresher.refresh(assets or ())
    if metrics is not None:
        from iip_assets.workspace.dvc_outputs import write_dvc_outputs

        write_dvc_outputs(refresher.project, metrics)
    if as_json:
        typer.echo(json.dumps(result.as_json()))
    else:
        from iip_assets.workspace.summary import print_refreshed

        print_refreshed(refresher.project, result)
    if result.failed:
        raise typer.Exit(1)


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show how every asset stands and, where it is stale, why."""
    refresher = _refresher()
    states = refresher.states()
    if as_json:
        shown = {
            name: {
                "state": state.state,
                "why": list(state.why),
                "data_version": state.data_version,
                "skipped": state.skipped,
            }
            for name, state in states.items()
        }
        typer.echo(json.dumps({"assets": shown}))
        return
    from iip_assets.workspace.summary import print_states

    print_states(refresher.project, states)


@app.command()
def show(
    asset: Annotated[str, typer.Argument(help="The asset's name, as `iip status` lists it.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Write the value here: a table as .csv or .parquet, a page as .html…"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what an asset holds, how it was made, and what its checks said."""
    from iip_assets.workspace.summary import export_value, print_asset

    project = _refresher().project
    if asset not in project.graph.assets:
        raise KeyError(f"there is no asset {asset!r}; there are {', '.join(project.graph.assets)}")
    if out is not None:
        typer.echo(f"wrote {export_value(project, asset, out)}")
        return
    print_asset(project, asset, as_json=as_json)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look for what is wrong with the workspace, such as files edited without `dvc add`."""
    from iip_assets.graph import find_workspace
    from iip_assets.workspace.doctor import examine, print_findings

    findings = examine(find_workspace(), say=_say)
    print_findings(findings, as_json=as_json)
    if any(not finding.healthy for finding in findings):
        raise typer.Exit(1)


@app.command()
def synthesize(  # noqa: PLR0917 - typer reads parameters as options
    out: Annotated[Path, typer.Argument(help="Folder to write batches into.")],
    images: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 600,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal pictures.")] = 1,
    batches: Annotated[int, typer.Option(min=1, help="How many batches.")] = 4,
    width: Annotated[int, typer.Option(min=16, help="Pixels.")] = 160,
    height: Annotated[int, typer.Option(min=16, help="Pixels.")] = 120,
    like_sample: Annotated[
        bool, typer.Option("--like-sample", help="Plant what the shipped sample has.")
    ] = False,
    plant: Annotated[
        list[str] | None,
        typer.Option(
            help="Plant an effect, such as label_errors=0.05 or drift=1; may be repeated."
        ),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Where truth.csv goes; OUT/truth.csv unless given.")
    ] = None,
) -> None:
    """Render eyes with exact masks and known truth, in the layout of a batch."""
    from iip_assets.synthetic.effects import SAMPLE, PlantedEffects, plant_effects
    from iip_assets.synthetic.write import write_dataset

    effects = plant_effects(SAMPLE if like_sample else PlantedEffects(), plant or ())
    with typer.progressbar(length=images, label="Rendering", file=sys.stderr) as bar:
        write_dataset(
            out,
            images=images,
            seed=seed,
            batches=batches,
            width=width,
            height=height,
            effects=effects,
            truth=truth,
            progress=bar.update,
            # Below this many, starting processes costs more than they save.
            processes=(os.cpu_count() or 1) if images >= 500 else 1,
        )
    _say(f"{images} pictures in {batches} batches are in {out}")


@app.command()
def ui(
    port: Annotated[
        int, typer.Option(help="Where Dagster's page listens, on this machine only.")
    ] = 3000,
) -> None:
    """Start Dagster with this workspace's graph, its daemon and persistent state."""
    from iip_assets.engine.instance import prepare_dagster_home

    project = _refresher().project
    prepare_dagster_home(project.workspace)
    os.chdir(project.workspace.root)
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    _say(f"Dagster will be at http://127.0.0.1:{port} (stop it with Ctrl+C)")
    os.execv(sys.executable, command)  # noqa: S606 - becomes Dagster, so that Ctrl+C reaches it


def _refresher() -> Any:
    from iip_assets.engine.instance import open_instance
    from iip_assets.engine.refresh import Refresher
    from iip_assets.graph import build_project

    project = build_project()
    return Refresher(project, lambda: open_instance(project.workspace), _say)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _print_plan(planned: list[Any], as_json: bool) -> None:
    if as_json:
        shown = [
            {"asset": one.asset, "why": list(one.why), "seconds": one.seconds} for one in planned
        ]
        typer.echo(json.dumps({"due": shown}))
        return
    from iip_assets.workspace.summary import print_plan

    print_plan(planned)


@contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """Sends what libraries print to standard error, so that stdout holds the result alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
