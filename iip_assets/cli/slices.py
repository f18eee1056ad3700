"""`iip errors`, `iip slices`: where the models fail, and what the team decided to watch."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from iip_assets.cli.common import AsJson, Verbs, load_last, log, open_refresher, print_json
from iip_assets.errors import no_such
from iip_assets.models.tasks import TASKS, TaskName

slices = Verbs(
    no_args_is_help=False,
    invoke_without_command=True,
    help="Slices on which a model fails: list them, accept one as a regression slice.",
)


def errors(
    model: Annotated[TaskName | None, typer.Option(help="Of this model alone.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=1, help="So many slices of a model.")] = 12,
    as_json: AsJson = False,
) -> None:
    """Print how each tag and slice does, what it could gain over all images, and what to do."""
    from iip_assets.report.metrics import records
    from iip_assets.report.sections.errors import analysis_table
    from iip_assets.report.text import print_blocks

    found = load_last(open_refresher(), "error_analysis")
    chosen = [row for row in records(found) if model in (None, row["model"])]
    if as_json:
        print_json(chosen)
        return
    for name in TASKS:
        own = [row for row in chosen if row["model"] == name]
        if own:
            print_blocks(analysis_table(name, own[:rows]))
        if len(own) > rows:
            log(f"{len(own) - rows} more rows of the {name}: --rows {len(own)}")


@slices.callback()
def list_slices(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the discovered slices with their error, and which stand in slices.toml."""
    if context.invoked_subcommand is not None:
        return
    from iip_assets.edge_cases.team_slices import read_slices
    from iip_assets.report.blocks import NUMBER, Column, Table, estimate_column
    from iip_assets.report.text import print_blocks

    refresher = open_refresher()
    accepted = {one.name for one in read_slices(refresher.project.workspace.root)}
    rows = [
        {**row, "rule": json.loads(row["rule"]), "accepted": row["name"] in accepted}
        for row in load_last(refresher, "discovered_slices").to_dicts()
    ]
    if as_json:
        print_json(rows)
        return
    columns: list[Column | str] = [Column("slice", "name"), "model", "n_images"]
    columns += [estimate_column("error", "error"), Column("elsewhere", "rest_error", NUMBER)]
    print_blocks(Table("Discovered slices: mean error", [*columns, "accepted"], rows))


@slices.command("accept")
def accept(name: Annotated[str, typer.Argument(help="As `iip slices` lists it.")]) -> None:
    """Write a discovered slice into slices.toml: every later model is judged on it."""
    from iip_assets.edge_cases.team_slices import FILE, SliceRule, accept_slice

    refresher = open_refresher()
    found = load_last(refresher, "discovered_slices")
    rules = dict(found.select("name", "rule").iter_rows())
    if name not in rules:
        raise LookupError(no_such("discovered slice", name, rules))
    root = refresher.project.workspace.root
    accept_slice(root, name, SliceRule(**json.loads(rules[name])))
    log(f"{root / FILE} has it: commit that file, then `iip refresh`; delete its lines to drop it")


@slices.command("freeze")
def freeze(
    name: Annotated[str, typer.Argument(help="Of the challenge set.")],
    where: Annotated[
        list[str] | None, typer.Option(help="column=value of labels.csv; again for another.")
    ] = None,
    of_slice: Annotated[
        str | None, typer.Option("--slice", help="A regression slice of slices.toml.")
    ] = None,
) -> None:
    """Freeze a challenge set: images that no model ever learns from or is chosen by."""
    from iip_assets.dataset.challenge_sets import COLUMNS, FILE, ChallengeSet, freeze_set

    if bool(where) == bool(of_slice):
        raise ValueError("give --where column=value, or --slice with the name of a slice")
    values: dict[str, list[str]] = {}
    for one in where or ():
        column, sign, value = one.partition("=")
        if not sign or column not in COLUMNS:
            raise ValueError(f"--where {one}: write column=value, of {', '.join(COLUMNS)}")
        values.setdefault(column, []).append(value)
    refresher = open_refresher()
    found: Any = load_last(refresher, "raw_dataset")["images"]
    made = ChallengeSet(name, (), {column: tuple(all_) for column, all_ in values.items()})
    if of_slice is None:
        ids = found.filter(made.matches())["image_id"].to_list()
    else:
        members = load_last(refresher, "team_slices")
        if of_slice not in (known := members["slice"].unique().to_list()):
            raise LookupError(no_such("regression slice", of_slice, known))
        ids = members.filter(slice=of_slice)["image_id"].to_list()
    root = refresher.project.workspace.root
    freeze_set(root, ChallengeSet(name, tuple(sorted(ids)), made.where))
    log(
        f"{len(ids)} images are frozen in {root / FILE}; all images of their subjects leave "
        "training. Commit that file, then `iip refresh`: the models are trained without them"
    )
