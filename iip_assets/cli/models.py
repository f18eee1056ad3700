"""`iip models`: versions of the filter and the segmenter, and which of them are deployed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from iip_assets.cli.common import AsJson, Verbs, log, open_refresher, print_json, stdout_kept_clean
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS, TaskName
from iip_assets.where import find_workspace

if TYPE_CHECKING:
    from iip_assets.engine.project import Project
    from iip_assets.registry.registry_state import Move

Alias = Literal["champion", "challenger"]
As = Annotated[Alias, typer.Option("--as", help="Which of the two deployed versions.")]
Why = Annotated[str, typer.Option("--why", help="Kept in the history.")]

models = Verbs(
    help="Versions of both models: register, compare, test, promote behind a gate, roll back."
)


@models.command("register")
def register_model(
    model: Annotated[TaskName | None, typer.Argument(help="Both, unless one is named.")] = None,
    compressed: Annotated[
        str, typer.Option(metavar="VARIANT", help="A smaller one of MODEL, such as int8.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Register what the graph holds now, evaluated; the same model twice is one version."""
    from iip_assets.cli.model_versions import register, version_rows

    if compressed and model is None:
        raise typer.BadParameter("say of which model: iip models register MODEL --compressed ...")
    refresher = open_refresher()
    wanted = [model] if model else list(TASKS)
    with stdout_kept_clean():
        made = [register(refresher, one, compressed) for one in wanted]
    if as_json:
        print_json(version_rows(made))
        return
    for one in made:
        log(f"{one.name} is registered; its card: {one.folder / 'model_card.html'}")


@models.command("list")
def list_models(
    as_json: AsJson = False,
    history: Annotated[
        bool, typer.Option("--history", help="Who moved which alias, when and why.")
    ] = False,
) -> None:
    """Show all versions, their headline number, and which are deployed."""
    from iip_assets.cli import model_versions
    from iip_assets.registry.registry import read_registry

    state = read_registry(find_workspace())
    if history:
        rows, shown = model_versions.move_rows(state.moves), model_versions.print_moves
        none = "No alias was moved yet."
    else:
        rows, shown = model_versions.version_rows(state.versions), model_versions.print_versions
        none = "Nothing is registered yet: iip models register"
    if as_json:
        print_json(rows)
    elif rows:
        shown(rows)
    else:
        log(none)


@models.command("compare")
def compare_models(
    model: TaskName,
    before: Annotated[int, typer.Argument(help="A version.")],
    after: Annotated[int, typer.Argument(help="Another.")],
    as_json: AsJson = False,
) -> None:
    """Both on the same test images, by slice, and what they were made of."""
    from iip_assets.cli.model_versions import compare, print_comparison
    from iip_assets.registry.registering import compared
    from iip_assets.registry.registry import Registry

    refresher = open_refresher()
    root = refresher.project.workspace.root
    versions = [Registry(root).version(model, number) for number in (before, after)]
    with stdout_kept_clean():
        table = compare(refresher.project, refresher.events(), *versions, log=log)
    differs = compared(*versions)
    if as_json:
        print_json({"slices": table.to_dicts(), "differs": differs})
        return
    print_comparison(table, differs, versions[0].name, versions[1].name)


@models.command("test")
def check_model_elsewhere(
    model: TaskName,
    version: int,
    *,
    on: Annotated[
        list[Path],
        typer.Option("--on", help="A workspace's folder; give it again for more columns."),
    ],
    split: Annotated[
        Literal["test", "all"],
        typer.Option(help="Their test images, or all that it has not learned from."),
    ] = "test",
    as_json: AsJson = False,
    to: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write all metrics as a table, too.")
    ] = None,
) -> None:
    """Judge a version on other workspaces' labelled images: trained here, tested there.

    Left out is what it learned from, copies of that, and images of the same subjects.
    """
    from iip_assets.cli import cross_dataset
    from iip_assets.engine.event_cache import present_events
    from iip_assets.registry.registry import Registry

    project = open_refresher().project
    known = Registry(project.workspace.root).version(model, version)
    with stdout_kept_clean():
        tests = cross_dataset.check_on(
            project, present_events(project), known, on, split=split, log=log
        )
    if to is not None:
        from iip_assets.dataset.csv_file import table_csv
        from iip_assets.engine.atomic import write_text_whole

        write_text_whole(to, table_csv(cross_dataset.metrics_of_all(tests)))
        log(f"all metrics are in {to}")
    if as_json:
        print_json(cross_dataset.as_json(known, tests, split=split))
        return
    cross_dataset.print_tests(known, tests, split=split)


@models.command("promote")
def promote_model(
    model: TaskName,
    version: int,
    alias: As = "champion",
    reason: Why = "",
    override: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Promote though the gate refuses; the reason is kept in the history.",
        ),
    ] = None,
) -> None:
    """Make a version champion, if it is not worse than the present one on any protected slice."""
    from iip_assets.cli.model_versions import promote

    refresher = open_refresher()
    with stdout_kept_clean():
        move = promote(refresher, model, version, alias=alias, reason=reason, override=override)
    _log_move(move)


@models.command("rollback")
def roll_back_model(model: TaskName, alias: As = "champion", reason: Why = "") -> None:
    """Give an alias back to the version that had it before."""
    from iip_assets.registry.registry import Registry

    _log_move(Registry(find_workspace()).roll_back(model, alias, reason=reason))


@models.command("distill")
def distill_model(
    model: TaskName,
    version: Annotated[int, typer.Argument(help="Of the teacher, as `iip models list` has it.")],
) -> None:
    """Make a registered version the teacher of the next training, which learns its probabilities.

    The student is what the settings say: give it a smaller network or input there.
    """
    from iip_assets.cli.model_versions import teach
    from iip_assets.graph import build_project

    project = build_project()
    for line in teach(project, model, version):
        log(str(line))
    _warn_of_met(project, model, version)
    small = {
        FILTER.name: "network (a timm model), width and height",
        SEGMENTER.name: "encoder, decoder_channels, width and height",
    }
    log(
        f"{model} {version} is the teacher now. How small the student is: [{model}] {small[model]} "
        "in iip.toml. Then iip refresh, and iip models register"
    )


@models.command("baseline")
def baseline_model(
    model: TaskName,
    version: Annotated[int, typer.Argument(help="Of it, as `iip models list` has it.")],
) -> None:
    """Make a registered version the fixed model that errors under corruptions are held against."""
    from iip_assets.cli.model_versions import name_baseline
    from iip_assets.graph import build_project

    project = build_project()
    for line in name_baseline(project, model, version):
        log(str(line))
    _warn_of_met(project, model, version)
    log(f"{model} {version} is the baseline: iip refresh robustness_benchmark")


def _warn_of_met(project: Project, model: str, version: int) -> None:
    from iip_assets.cli.model_versions import met_before
    from iip_assets.engine.event_cache import present_events
    from iip_assets.registry.registry import Registry

    splits = project.load("data_splits", present_events(project))
    if met := met_before(model, Registry(project.workspace.root).version(model, version), splits):
        log(met)


def _log_move(move: Move) -> None:
    was = "nobody" if move.before is None else f"version {move.before}"
    past = f"; let past the gate: {move.override}" if move.override else ""
    log(f"the {move.alias} {move.model} is version {move.after} now, it was {was}{past}")
