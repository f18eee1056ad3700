"""`iip models`: versions of the filter and the segmenter, and which of them are deployed."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import typer

from iip_assets.commands.common import AsJson, open_refresher, say, stdout_kept_clean

Model = Literal["filter", "segmenter"]
Alias = Literal["champion", "challenger"]
As = Annotated[Alias, typer.Option("--as", help="Which of the two deployed versions.")]
Why = Annotated[str, typer.Option("--why", help="Kept in the history.")]

models = typer.Typer(
    no_args_is_help=True,
    help="Versions of both models: register, compare, promote behind a gate, roll back.",
)


@models.command("register")
def register_model(
    model: Annotated[Model | None, typer.Argument(help="Both, unless one is named.")] = None,
    as_json: AsJson = False,
) -> None:
    """Register what the graph holds now, evaluated; the same model twice is one version."""
    from iip_assets.workspace.models import register, version_rows

    refresher = open_refresher()
    wanted: list[Model] = [model] if model else ["filter", "segmenter"]
    with stdout_kept_clean():
        made = [register(refresher, one) for one in wanted]
    if as_json:
        typer.echo(json.dumps(version_rows(made)))
        return
    for one in made:
        say(f"{one.name} is registered; its card: {one.folder / 'model_card.html'}")


@models.command("list")
def list_models(
    as_json: AsJson = False,
    history: Annotated[
        bool, typer.Option("--history", help="Who moved which alias, when and why.")
    ] = False,
) -> None:
    """Show all versions, their headline number, and which are deployed."""
    from iip_assets.release.registry_state import read_registry
    from iip_assets.where import find_workspace
    from iip_assets.workspace.models import move_rows, version_rows

    state = read_registry(find_workspace())
    rows = move_rows(state.moves) if history else version_rows(state.versions)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    from iip_assets.workspace.models_text import print_moves, print_versions

    if not rows:
        say(
            "No alias was moved yet."
            if history
            else "Nothing is registered yet: iip models register"
        )
        return
    (print_moves if history else print_versions)(rows)


@models.command("compare")
def compare_models(
    model: Model,
    before: Annotated[int, typer.Argument(help="A version.")],
    after: Annotated[int, typer.Argument(help="Another.")],
    as_json: AsJson = False,
) -> None:
    """Both on the same test pictures, by slice, and what they were made of."""
    from iip_assets.release.registering import compared
    from iip_assets.release.registry import Registry
    from iip_assets.workspace.models import compare

    refresher = open_refresher()
    root = refresher.project.workspace.root
    versions = [Registry(root).version(model, number) for number in (before, after)]
    with stdout_kept_clean():
        table = compare(refresher.project, refresher.ledger(), *versions, say=say)
    differs = compared(*versions)
    if as_json:
        typer.echo(json.dumps({"slices": table.to_dicts(), "differs": differs}))
        return
    from iip_assets.workspace.models_text import print_comparison

    print_comparison(table, differs, versions[0].name, versions[1].name)


@models.command("promote")
def promote_model(
    model: Model,
    version: int,
    alias: As = "champion",
    why: Why = "",
    override: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="Promote though the gate refuses; the reason is kept in the history.",
        ),
    ] = None,
) -> None:
    """Make a version champion, if it is not worse than the present one on any protected slice."""
    from iip_assets.workspace.models import promote

    refresher = open_refresher()
    with stdout_kept_clean():
        move = promote(refresher, model, version, alias=alias, why=why, override=override)
    _say_moved(move)


@models.command("rollback")
def roll_back_model(model: Model, alias: As = "champion", why: Why = "") -> None:
    """Give an alias back to the version that had it before."""
    from iip_assets.release.registry import Registry
    from iip_assets.where import find_workspace

    _say_moved(Registry(find_workspace()).roll_back(model, alias, why=why))


@models.command("distill")
def distill_model(
    model: Model,
    version: Annotated[int, typer.Argument(help="Of the teacher, as `iip models list` has it.")],
) -> None:
    """Make a registered version the teacher of the next training, which learns its probabilities.

    The student is what the settings say: give it a smaller network or input there.
    """
    from iip_assets.where import find_workspace
    from iip_assets.workspace.models import teach
    from iip_assets.workspace.settings_file import in_words

    for line in in_words(teach(find_workspace(), model, version)):
        say(line)
    small = {
        "filter": "network (a timm model), width and height",
        "segmenter": "encoder, decoder_channels, width and height",
    }
    say(
        f"{model} {version} is the teacher now. How small the student is: [{model}] {small[model]} "
        "in iip.toml. Then iip refresh, and iip models register"
    )


def _say_moved(move: Any) -> None:
    was = "nobody" if move.before is None else f"version {move.before}"
    past = f"; let past the gate: {move.override}" if move.override else ""
    say(f"the {move.alias} {move.model} is version {move.after} now, it was {was}{past}")
