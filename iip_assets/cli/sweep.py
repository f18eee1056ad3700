"""`iip sweep`: searches over settings and architectures, and taking up what they found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, Verbs, log, print_json, stdout_kept_clean
from iip_assets.models.tasks import TaskName
from iip_assets.report.blocks import FIGURE, Column, Table, number, short_number
from iip_assets.report.text import print_blocks, print_text

if TYPE_CHECKING:
    from iip_assets.sweeps.plan import Plan
    from iip_assets.sweeps.study import Done, Study

Name = Annotated[str, typer.Argument(help="A sweep's name: that of its file, without .toml.")]

sweep = Verbs(
    help="Search over a model's settings with Optuna: grid, random, TPE, CMA-ES, NSGA-II."
)


@sweep.command("example")
def example_sweep(model: Annotated[TaskName, typer.Argument()] = "segmenter") -> None:
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
    from iip_assets.graph import build_project

    project = build_project()
    with stdout_kept_clean():
        from iip_assets.engine.atomic import write_text_whole
        from iip_assets.settings_file import read_settings
        from iip_assets.sweeps.page import sweep_page
        from iip_assets.sweeps.plan import read_plan
        from iip_assets.sweeps.trials import run_sweep as run_trials
        from iip_assets.sweeps.trials import sweep_folder

        settings = read_settings(project.workspace.root)
        plan = read_plan(file, settings)
        if trials is not None:
            plan = plan.model_copy(update={"trials": trials})
        page = sweep_folder(project.workspace.state) / f"{plan.name}.html"

        def write_page(study: Study) -> None:
            write_text_whole(page, sweep_page(plan, study.done(), study.importances()))

        done = run_trials(project, plan, settings, force=force, log=log, after=write_page)
    if as_json:
        print_json([asdict(one) for one in done])
        return
    print_trials(plan, done, {})
    log(f"Look at it: {page}\nTake up the best: iip sweep apply {plan.name}")


@sweep.command("list")
def list_sweeps(as_json: AsJson = False) -> None:
    """Show all sweeps of this workspace."""
    from iip_assets.sweeps.study import known_studies

    rows, folder = [], _folder()
    for known in known_studies(folder):
        plan, done, _ = _load(folder, known.study_name)
        best = [one.quality for one in done if one.best and one.quality is not None]
        rows.append(
            {
                "sweep": plan.name,
                "model": plan.model,
                "sampler": plan.sampler,
                "objectives": list(plan.objectives),
                "trials": len(done),
                "failed": sum(one.reason is not None for one in done),
                "best": max(best, default=None),
            }
        )
    if as_json:
        print_json(rows)
    elif rows:
        columns: list[Column | str] = [
            "sweep",
            "model",
            "sampler",
            Column("objectives", lambda row: ", ".join(row["objectives"])),
            *(Column(name, name, FIGURE) for name in ("trials", "failed")),
            Column("best", lambda row: "" if row["best"] is None else number(row["best"]), FIGURE),
        ]
        print_blocks(Table("", columns, rows))
    else:
        log("There is no sweep yet: iip sweep example > FILE.toml, then iip sweep run FILE.toml")


@sweep.command("show")
def show_sweep(name: Name, as_json: AsJson = False) -> None:
    """Show a sweep's trials, the best ones, and which settings mattered."""
    from iip_assets.sweeps.study import importances

    plan, done, study = _load(_folder(), name)
    shares = importances(study)
    if as_json:
        print_json({"trials": [asdict(one) for one in done], "importances": shares})
    else:
        print_trials(plan, done, shares)


@sweep.command("apply")
def apply_sweep(
    name: Name,
    trial: Annotated[
        int | None, typer.Option(min=0, help="A trial's number; the best without it.")
    ] = None,
) -> None:
    """Write a trial's settings into iip.toml; its model is then taken up, not trained again."""
    from iip_assets.settings_file import write_settings
    from iip_assets.where import find_workspace

    plan, done, _ = _load(_folder(), name)
    chosen = _chosen(plan, done, trial)
    changed = write_settings(find_workspace(), {**plan.fixed, **chosen.values})
    for line in changed:
        log(str(line))
    log(
        f"{len(changed)} settings of iip.toml changed. Next: iip refresh, "
        f"then iip models register {plan.model}"
    )


def _folder() -> Path:
    from iip_assets.graph import build_project
    from iip_assets.sweeps.trials import sweep_folder

    return sweep_folder(build_project().workspace.state)


def _load(folder: Path, name: str) -> tuple[Plan, list[Done], Any]:
    """A sweep's plan, trials and study.

    Raises:
        LookupError: There is no such sweep.
    """
    from iip_assets.sweeps.study import done_trials, load_study

    study, plan = load_study(folder, name)
    return plan, done_trials(study, plan), study


def _chosen(plan: Plan, done: list[Done], number: int | None) -> Done:
    from iip_assets.sweeps.plan import PlanError
    from iip_assets.sweeps.trials import in_words

    if number is None:
        best = [one for one in done if one.best]
        if not best:
            raise LookupError(f"no trial of the sweep {plan.name} has ended well yet")
        if len(best) > 1:
            front = "\n".join(
                f"  --trial {one.number}: {one.quality:.3f}, {one.latency_ms:.1f} ms an image; "
                f"{in_words(dict(one.values))}"
                for one in best
                if one.quality is not None and one.latency_ms is not None
            )
            raise LookupError(f"none of these is better in both objectives; choose:\n{front}")
        return best[0]
    found = next((one for one in done if one.number == number), None)
    if found is None:
        raise LookupError(f"the sweep {plan.name} has no trial {number} that has ended")
    if found.reason is not None:
        raise PlanError(f"trial {number} failed: {found.reason}")
    return found


def print_trials(plan: Plan, done: Sequence[Done], importances: Mapping[str, float]) -> None:
    """A line a trial, the best ones in bold; then how much each setting mattered."""
    from iip_assets.sweeps.page import trial_columns

    columns = trial_columns(
        plan, lambda path: path.partition(".")[2].replace("_", "\n"), ends=short_number
    )
    rows = [vars(one) for one in done]
    caption = f"{plan.name}, a {plan.model}"
    print_blocks(Table(caption, columns, rows, tone=lambda row: "strong" if row["best"] else ""))
    if importances:
        shares = ", ".join(f"{path} {share:.0%}" for path, share in importances.items())
        evaluated = sum(one.quality is not None for one in done)
        print_text(f"share of the spread in quality, over {evaluated} trials: {shares}")
