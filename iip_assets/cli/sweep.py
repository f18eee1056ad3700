"""`iip sweep`: searches over settings and architectures, and taking up what they found."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from iip_assets.cli.common import AsJson, log, stdout_kept_clean
from iip_assets.models.tasks import TaskName

Name = Annotated[str, typer.Argument(help="A sweep's name: that of its file, without .toml.")]

sweep = typer.Typer(
    no_args_is_help=True,
    help="Search over a model's settings with Optuna: grid, random, TPE, CMA-ES, NSGA-II.",
)


@sweep.command("example")
def example_sweep(
    model: Annotated[TaskName, typer.Argument()] = "segmenter",
) -> None:
    """Print a file to begin with, such as: iip sweep example segmenter > sweeps/first.toml."""
    from iip_assets.sweeps.plan import EXAMPLES

    typer.echo(EXAMPLES[model].format(file="FILE.toml"), nl=False)


@sweep.command("run")
def run_sweep(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    trials: Annotated[
        int | None, typer.Option(min=1, help="So many trials, whatever the file says.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--again", help="Forget the trials of a sweep of this name.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a sweep, or what is left of it: killed at any moment, it goes on where it was.

    What the workspace holds stays as it is. Each trial is logged in W&B in the sweep's group.
    """
    from iip_assets.cli import sweeping
    from iip_assets.graph import build_project

    project = build_project()
    with stdout_kept_clean():
        plan, done, page = sweeping.run(project, file, trials=trials, force=force, log=log)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done]))
        return
    sweeping.print_trials(plan, done, {})
    log(f"Look at it: {page}\nTake up the best: iip sweep apply {plan.name}")


@sweep.command("list")
def list_sweeps(as_json: AsJson = False) -> None:
    """Show all sweeps of this workspace."""
    from iip_assets.cli import sweeping
    from iip_assets.graph import build_project

    rows = sweeping.overview(build_project().workspace.state)
    if as_json:
        typer.echo(json.dumps(rows))
    elif rows:
        sweeping.print_sweeps(rows)
    else:
        log("There is no sweep yet: iip sweep example > FILE.toml, then iip sweep run FILE.toml")


@sweep.command("show")
def show_sweep(name: Name, as_json: AsJson = False) -> None:
    """Show a sweep's trials, the best ones, and which settings mattered."""
    from iip_assets.cli import sweeping
    from iip_assets.graph import build_project

    plan, done, mattered = sweeping.trials_of(build_project().workspace.state, name)
    if as_json:
        told = {"trials": [asdict(one) for one in done], "importances": mattered}
        typer.echo(json.dumps(told))
        return
    sweeping.print_trials(plan, done, mattered)


@sweep.command("apply")
def apply_sweep(
    name: Name,
    trial: Annotated[
        int | None, typer.Option(min=0, help="A trial's number; the best without it.")
    ] = None,
) -> None:
    """Write a trial's settings into iip.toml; its model is then taken up, not trained again."""
    from iip_assets.cli import sweeping
    from iip_assets.graph import build_project

    workspace = build_project().workspace
    changed = sweeping.take_up(workspace.root, workspace.state, name, trial)
    for change in changed:
        log(str(change))
    plan, _, _ = sweeping.trials_of(workspace.state, name)
    log(
        f"{len(changed)} settings of iip.toml changed. Next: iip refresh, "
        f"then iip models register {plan.model}"
    )
