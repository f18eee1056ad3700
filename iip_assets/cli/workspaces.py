"""`iip init`, `iip doctor`, `iip synthesize` and `iip ui`: a workspace and what goes into it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, log, open_refresher


def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make; it must be new or empty.")],
) -> None:
    """Make a workspace of your own: git, DVC, iip.toml, dvc.yaml, workspace.yaml and an inbox."""
    from iip_assets.cli.init import NEXT_STEPS, init_workspace

    init_workspace(folder, log=log)
    typer.echo(NEXT_STEPS.format(folder=folder))


def doctor(as_json: AsJson = False) -> None:
    """Look for what is wrong with the workspace, such as files edited without `dvc add`."""
    from iip_assets.cli.doctor import examine, print_findings
    from iip_assets.where import find_workspace

    findings = examine(find_workspace(), log=log)
    print_findings(findings, as_json=as_json)
    if any(not finding.healthy for finding in findings):
        raise typer.Exit(1)


def synthesize(  # noqa: PLR0917 - typer reads parameters as options
    out: Annotated[Path, typer.Argument(help="Folder to write batches into.")],
    images: Annotated[int, typer.Option(min=1, help="How many images.")] = 600,
    seed: Annotated[int, typer.Option(help="Equal seeds give equal images.")] = 1,
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
    from iip_assets.synthetic.parameters import SAMPLE, PlantedEffects, plant_effects
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
    log(f"{images} images in {batches} batches are in {out}")


def ui(
    port: Annotated[
        int, typer.Option(help="Where Dagster's page listens, on this machine only.")
    ] = 3000,
) -> None:
    """Start Dagster with this workspace's graph, its daemon and persistent state."""
    from iip_assets.engine.dagster.instance import prepare_dagster_home

    project = open_refresher().project
    prepare_dagster_home(project.workspace)
    os.chdir(project.workspace.root)
    command = [sys.executable, "-m", "dagster", "dev", "--host", "127.0.0.1", "--port", str(port)]
    log(f"Dagster will be at http://127.0.0.1:{port} (stop it with Ctrl+C)")
    os.execv(sys.executable, command)  # noqa: S606 - becomes Dagster, so that Ctrl+C reaches it
