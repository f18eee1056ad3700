"""`iip slices`: where the models were found to fail, and what the team decided to watch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iip_assets.cli.common import AsJson, Verbs, log, open_refresher, print_json
from iip_assets.errors import UserError, no_such
from iip_assets.models.tasks import TASKS, TaskName
from iip_assets.where import find_workspace

if TYPE_CHECKING:
    from iip_assets.engine.project import EventLog, Project

slices = Verbs(
    no_args_is_help=False,
    invoke_without_command=True,
    help="Slices on which a model fails: list them, accept one as a regression slice, drop it.",
)


@slices.callback()
def list_slices(context: typer.Context, as_json: AsJson = False) -> None:
    """Show the discovered slices with their error, and the accepted ones with the main metric."""
    if context.invoked_subcommand is not None:
        return
    from iip_assets.edge_cases.team_slices import read_slices

    refresher = open_refresher()
    project, events = refresher.project, refresher.events()
    found, judged = _discovered(project, events), _judged(project, events)
    rows = [
        {"name": one.name, "rule": one.rule.to_dict(), "regression": one.regression, **row}
        for one in read_slices(project.workspace.root)
        for row in judged.get(one.name, [{}])
    ]
    if as_json:
        print_json({"discovered": found, "accepted": rows})
    else:
        _print(found, rows)


@slices.command("accept")
def accept(
    name: Annotated[str, typer.Argument(help="As `iip slices` lists it.")],
    model: Annotated[
        TaskName | None, typer.Option(help="Where both models have one of that name.")
    ] = None,
) -> None:
    """Write a discovered slice into slices.toml: every later model is judged on it."""
    from iip_assets.edge_cases.team_slices import FILE, SliceRule, accept_slice, read_slices

    refresher = open_refresher()
    root = refresher.project.workspace.root
    found = _discovered(refresher.project, refresher.events())
    asked = [one for one in found if model in (None, one["model"])]
    rules = {json.dumps(one["rule"]): one["rule"] for one in asked if one["name"] == name}
    if name in [one.name for one in read_slices(root)]:
        raise UserError(f"{name!r} is in {FILE} already; `iip slices drop` takes it out")
    if not asked:
        raise UserError("no slice is discovered that could be accepted")
    if not rules:
        raise UserError(no_such("discovered slice", name, [one["name"] for one in asked]))
    if len(rules) > 1:
        raise UserError(
            f"{name!r} is another slice for each model: add --model filter or segmenter"
        )
    (rule,) = rules.values()
    accept_slice(root, name, SliceRule.from_dict(rule))
    log(
        f"{root / FILE} has it: commit that file, then `iip refresh`; later models are judged on it"
    )


@slices.command("drop")
def drop(
    name: Annotated[str, typer.Argument(help="As `iip slices` lists it.")],
) -> None:
    """Take a slice out of slices.toml."""
    from iip_assets.edge_cases.team_slices import FILE, drop_slice

    root: Path = find_workspace()
    drop_slice(root, name)
    log(f"{root / FILE} has it no more: commit that file, then `iip refresh`")


def _value(project: Project, events: EventLog, asset: str) -> Any:
    """What an asset holds; None where it has no value or was skipped."""
    from iip_assets.engine.values import Skipped

    try:
        value = project.load(asset, events)
    except LookupError:
        log(f"There is no {asset} yet: `iip refresh {asset}`.")
        return None
    return None if isinstance(value, Skipped) else value


def _discovered(project: Project, events: EventLog) -> list[dict[str, Any]]:
    """The discovered slices as rows, each with its rule as `slices.toml` has it."""
    tables = _value(project, events, "discovered_slices")
    rows = tables["slices"].to_dicts() if tables else []
    return [{**row, "rule": json.loads(row["rule"])} for row in rows]


def _judged(project: Project, events: EventLog) -> dict[str, list[dict[str, Any]]]:
    """Each model's main metric on the test images of each regression slice, by its name."""
    from iip_assets.edge_cases.team_slices import REGRESSION_AXIS

    tables = _value(project, events, "model_evaluation")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in tables["metrics"].to_dicts() if tables else []:
        task = TASKS.get(row["model"])
        if task and row["axis"] == REGRESSION_AXIS and row["metric"] == task.headline:
            found.setdefault(row["slice"], []).append(row)
    return found


def _print(found: list[dict[str, Any]], accepted: list[dict[str, Any]]) -> None:
    from iip_assets.report.blocks import NUMBER, Column, Table, estimate_column
    from iip_assets.report.text import print_blocks

    first: list[Column | str] = [Column("slice", "name"), Column("model", "model"), "n_images"]
    error = [estimate_column("error", "error"), Column("elsewhere", "rest_error", NUMBER)]
    metric = [Column("metric", "metric"), estimate_column("value")]
    if found:
        print_blocks(Table("Discovered: mean error", [*first, *error], found))
    else:
        log("No slice is discovered.")
    if accepted:
        caption = "Accepted: main metric on test images"
        print_blocks(Table(caption, [*first, *metric], accepted))
    else:
        log("None is accepted: `iip slices accept NAME`.")
