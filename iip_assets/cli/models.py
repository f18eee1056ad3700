"""`iip models`: versions of the filter and the segmenter, and which of them are deployed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from iip_assets.cli.common import AsJson, log, open_refresher, stdout_kept_clean
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS, TaskName

Alias = Literal["champion", "challenger"]
As = Annotated[Alias, typer.Option("--as", help="Which of the two deployed versions.")]
Why = Annotated[str, typer.Option("--why", help="Kept in the history.")]

models = typer.Typer(
    no_args_is_help=True,
    help="Versions of both models: register, compare, test, promote behind a gate, roll back.",
)


@models.command("register")
def register_model(
    model: Annotated[TaskName | None, typer.Argument(help="Both, unless one is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register what the graph holds now, evaluated; the same model twice is one version."""
    from iip_assets.cli.model_management import register, version_rows

    refresher = open_refresher()
    wanted = [model] if model else list(TASKS)
    with stdout_kept_clean():
        made = [register(refresher, one) for one in wanted]
    if as_json:
        typer.echo(json.dumps(version_rows(made)))
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
    from iip_assets.cli.model_management import move_rows, version_rows
    from iip_assets.registry.registry import read_registry
    from iip_assets.where import find_workspace

    state = read_registry(find_workspace())
    rows = move_rows(state.moves) if history else version_rows(state.versions)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from iip_assets.cli.models_text import print_moves, print_versions

    if not rows:
        log(
            "No alias was moved yet."
            if history
            else "Nothing is registered yet: iip models register"
        )
        return
    (print_moves if history else print_versions)(rows)


@models.command("compare")
def compare_models(
    model: TaskName,
    before: Annotated[int, typer.Argument(help="A version.")],
    after: Annotated[int, typer.Argument(help="Another.")],
    as_json: AsJson = False,
) -> None:
    """Both on the same test images, by slice, and what they were made of."""
    from iip_assets.cli.model_management import compare
    from iip_assets.registry.registering import compared
    from iip_assets.registry.registry import Registry

    refresher = open_refresher()
    root = refresher.project.workspace.root
    versions = [Registry(root).version(model, number) for number in (before, after)]
    with stdout_kept_clean():
        table = compare(refresher.project, refresher.ledger(), *versions, log=log)
    differs = compared(*versions)
    if as_json:
        typer.echo(json.dumps({"slices": table.to_dicts(), "differs": differs}))
        return
    from iip_assets.cli.models_text import print_comparison

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
    from iip_assets.engine.event_cache import present_ledger
    from iip_assets.registry.registry import Registry

    project = open_refresher().project
    known = Registry(project.workspace.root).version(model, version)
    with stdout_kept_clean():
        tests = cross_dataset.check_on(
            project, present_ledger(project), known, on, split=split, log=log
        )
    if to is not None:
        from iip_assets.engine.atomic import write_text_whole

        write_text_whole(to, cross_dataset.metrics_of_all(tests).write_csv())
        log(f"all metrics are in {to}")
    if as_json:
        typer.echo(json.dumps(cross_dataset.as_json(known, tests, split=split)))
        return
    from iip_assets.cli.cross_dataset_text import print_tests

    print_tests(known, tests, split=split)


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
    from iip_assets.cli.model_management import promote

    refresher = open_refresher()
    with stdout_kept_clean():
        move = promote(refresher, model, version, alias=alias, reason=reason, override=override)
    _say_moved(move)


@models.command("rollback")
def roll_back_model(model: TaskName, alias: As = "champion", reason: Why = "") -> None:
    """Give an alias back to the version that had it before."""
    from iip_assets.registry.registry import Registry
    from iip_assets.where import find_workspace

    _say_moved(Registry(find_workspace()).roll_back(model, alias, reason=reason))


@models.command("distill")
def distill_model(
    model: TaskName,
    version: Annotated[int, typer.Argument(help="Of the teacher, as `iip models list` has it.")],
) -> None:
    """Make a registered version the teacher of the next training, which learns its probabilities.

    The student is what the settings say: give it a smaller network or input there.
    """
    from iip_assets.cli.model_management import teach
    from iip_assets.graph import build_project

    for change in teach(build_project(), model, version):
        log(str(change))
    small = {
        FILTER.name: "network (a timm model), width and height",
        SEGMENTER.name: "encoder, decoder_channels, width and height",
    }
    log(
        f"{model} {version} is the teacher now. How small the student is: [{model}] {small[model]} "
        "in iip.toml. Then iip refresh, and iip models register"
    )


def _say_moved(move: Any) -> None:
    was = "nobody" if move.before is None else f"version {move.before}"
    past = f"; let past the gate: {move.override}" if move.override else ""
    log(f"the {move.alias} {move.model} is version {move.after} now, it was {was}{past}")
