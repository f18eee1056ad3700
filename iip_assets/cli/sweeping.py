"""What `iip sweep` does: runs sweeps, shows them, and takes up a trial's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.project import Project
from iip_assets.report.blocks import FIGURE, Column, Paragraph, Row, Table, number, short_number
from iip_assets.report.terminal import show
from iip_assets.settings_file import Change, read_settings, write_settings
from iip_assets.sweeps.page import sweep_page, trial_columns
from iip_assets.sweeps.plan import Plan, PlanError, read_plan
from iip_assets.sweeps.study import Done, Study, done_trials, importances, known_studies, load_study
from iip_assets.sweeps.trials import in_words, run_sweep, sweep_folder


def run(
    project: Project,
    file: Path,
    *,
    trials: int | None,
    force: bool,
    log: Callable[[str], None],
) -> tuple[Plan, list[Done], Path]:
    """Runs what is left of the sweep in a file; gives plan, trials and the page about them.

    Raises:
        PlanError: The file describes no sweep, or one that was begun otherwise.
    """
    root = project.workspace.root
    settings = read_settings(root)
    plan = read_plan(file, settings)
    if trials is not None:
        plan = plan.model_copy(update={"trials": trials})
    page = sweep_folder(project.workspace.state) / f"{plan.name}.html"

    def write_page(study: Study) -> None:
        write_text_whole(page, sweep_page(plan, study.done(), study.importances()))

    done = run_sweep(project, plan, settings, force=force, log=log, after=write_page)
    return plan, done, page


def overview(state: Path) -> list[dict[str, Any]]:
    """A row a sweep."""
    rows = []
    for known in known_studies(sweep_folder(state)):
        study, plan = load_study(sweep_folder(state), known.study_name)
        done = done_trials(study, plan)
        best = [one for one in done if one.best]
        rows.append(
            {
                "sweep": plan.name,
                "model": plan.model,
                "sampler": plan.sampler,
                "objectives": list(plan.objectives),
                "trials": len(done),
                "failed": sum(one.reason is not None for one in done),
                "best": max((one.quality for one in best if one.quality is not None), default=None),
            }
        )
    return rows


def trials_of(state: Path, name: str) -> tuple[Plan, list[Done], dict[str, float]]:
    """A sweep's plan, trials, and how much each setting mattered.

    Raises:
        LookupError: There is no such sweep.
    """
    study, plan = load_study(sweep_folder(state), name)
    return plan, done_trials(study, plan), importances(study)


def take_up(root: Path, state: Path, name: str, number: int | None) -> list[Change]:
    """Writes a trial's settings into iip.toml and says what changed.

    Args:
        root: The workspace's folder.
        state: Its state folder.
        name: Of the sweep.
        number: Of the trial; without it the best one.

    Raises:
        LookupError: There is no such sweep or trial, or several are best.
        PlanError: The trial failed.
    """
    study, plan = load_study(sweep_folder(state), name)
    chosen = _chosen(plan, done_trials(study, plan), number)
    return write_settings(root, {**plan.fixed, **chosen.values})


def _chosen(plan: Plan, done: list[Done], number: int | None) -> Done:
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
