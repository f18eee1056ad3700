"""`iip fairness`: what remedies cost, and which one was chosen, for what reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from iip_assets.cli.common import AsJson, Verbs, load_last, log, open_refresher, print_json
from iip_assets.errors import no_such

fairness = Verbs(
    no_args_is_help=False,
    invoke_without_command=True,
    help="What remedies bring the group that fares worst, and cost all: list them, choose one.",
)


@fairness.callback()
def list_remedies(context: typer.Context, as_json: AsJson = False) -> None:
    """Show what each remedy brings and costs; those that no other beats are in bold."""
    if context.invoked_subcommand is not None:
        return
    from iip_assets.report.metrics import records
    from iip_assets.report.sections.tradeoff import tradeoff_table
    from iip_assets.report.text import print_blocks

    rows = records(load_last(open_refresher(), "fairness_tradeoff")["tradeoff"])
    if as_json:
        print_json(rows)
    else:
        print_blocks(tradeoff_table(rows))


@fairness.command("choose")
def choose(
    remedy: Annotated[str, typer.Argument(help="As `iip fairness` lists it, or none.")],
    why: Annotated[str, typer.Option(help="The reason, which the model card prints.")],
    strength: Annotated[float | None, typer.Option(help="As listed, where there are some.")] = None,
) -> None:
    """Write a remedy for the filter, and the reason, into iip.toml."""
    import polars as pl

    from iip_assets.settings_file import write_settings

    refresher = open_refresher()
    tried = load_last(refresher, "fairness_tradeoff")["tradeoff"].to_dicts()
    workspace = refresher.project.workspace
    axis = workspace.read_settings(workspace.root).fairness.axis
    slices = load_last(refresher, "image_slices").filter(pl.col("slice") != "unknown", axis=axis)
    values = settings_of(remedy, strength, tried, axis, slices["slice"].unique().sort().to_list())
    for change in write_settings(workspace.root, {**values, "remedy.reason": why}):
        log(str(change))
    log("Now `iip refresh`, and `iip models register filter`")


def settings_of(
    remedy: str,
    strength: float | None,
    tried: Sequence[Mapping[str, Any]],
    axis: str,
    groups: Sequence[str],
) -> dict[str, Any]:
    """What a remedy that was tried is in iip.toml, by path.

    Raises:
        LookupError: It was not tried, or several strengths of it were.
        ValueError: It is none that a filter is trained with.
    """
    from iip_assets.fairness.tradeoff import NOT_DEPLOYED

    rows = {row["strength"]: row for row in tried if row["remedy"] == remedy}
    if not rows:
        raise LookupError(
            no_such("remedy that was tried", remedy, {row["remedy"] for row in tried})
        )
    if remedy in NOT_DEPLOYED:
        raise ValueError(f"{remedy} cannot be deployed: {NOT_DEPLOYED[remedy]}")
    if strength is None and len(rows) == 1:
        (strength,) = rows
    if strength not in rows:
        known = ", ".join(f"{one:g}" for one in rows)
        raise LookupError(f"{remedy} was tried with --strength {known}")
    if remedy == "mindiff":
        pair = {"axis": axis, "group": rows[strength]["helped"]}
        values = {"remedy.pairs": [pair], "remedy.weight": strength}
    elif remedy == "rate_constraint":
        values = {"remedy.recall": {axis: dict.fromkeys(groups, strength)}}
    return {"remedy.filter": remedy, **values}
