"""`iip fairness`: what remedies cost, and which one was chosen, for what reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from iip_assets.cli.common import AsJson, Verbs, load_last, log, open_refresher, print_json
from iip_assets.errors import no_such
from iip_assets.models.tasks import FILTER, SEGMENTER, TaskName

Model = Annotated[TaskName, typer.Option(help="Whose remedies.")]
_TABLES = {FILTER.name: "fairness_tradeoff", SEGMENTER.name: "segmenter_tradeoff"}

fairness = Verbs(
    no_args_is_help=False,
    invoke_without_command=True,
    help="What remedies bring to the group that fares worst, and their price: list, choose one.",
)


@fairness.callback()
def list_remedies(context: typer.Context, model: Model = "filter", as_json: AsJson = False) -> None:
    """Show what each remedy brings and costs; those that no other beats are in bold."""
    if context.invoked_subcommand is not None:
        return
    from iip_assets.report.metrics import records
    from iip_assets.report.sections.tradeoff import tradeoff_table
    from iip_assets.report.text import print_blocks

    rows = records(load_last(open_refresher(), _TABLES[model])["tradeoff"])
    if as_json:
        print_json(rows)
    else:
        print_blocks(tradeoff_table(rows))


@fairness.command("choose")
def choose(
    remedy: Annotated[str, typer.Argument(help="As `iip fairness` lists it.")],
    why: Annotated[str, typer.Option(help="The reason, which the model card prints.")],
    strength: Annotated[float | None, typer.Option(help="As listed, where there are some.")] = None,
    model: Model = "filter",
) -> None:
    """Write a remedy, and the reason, into iip.toml."""
    from iip_assets.settings_file import write_settings

    refresher = open_refresher()
    tried = load_last(refresher, _TABLES[model])["tradeoff"].to_dicts()
    workspace = refresher.project.workspace
    axis = workspace.read_settings(workspace.root).fairness.axis
    values = settings_of(remedy, strength, tried, axis, model=model)
    for change in write_settings(workspace.root, {**values, f"{model}_remedy.reason": why}):
        log(str(change))
    if remedy in ("weights", "resampling"):
        log("[training_set] is that of both models")
    log(f"Now `iip refresh`, then `iip models register {model}`")


def settings_of(
    remedy: str,
    strength: float | None,
    tried: Sequence[Mapping[str, Any]],
    axis: str,
    *,
    model: str = FILTER.name,
) -> dict[str, Any]:
    """What a remedy that was tried is in iip.toml, by path.

    Raises:
        LookupError: It was not tried, or several strengths of it were.
        ValueError: No filter is made of it.
    """
    from iip_assets.fairness.tradeoff import NOT_DEPLOYED
    from iip_assets.fairness.trials import pair_groups
    from iip_assets.statistics.skin_tone import MEASURED_AXES

    rows = {row["strength"]: row for row in tried if row["remedy"] == remedy}
    if not rows:
        names = {row["remedy"] for row in tried}
        raise LookupError(no_such("remedy that was tried", remedy, names))
    if remedy in NOT_DEPLOYED:
        raise ValueError(f"{remedy} is not deployed: {NOT_DEPLOYED[remedy]}")
    if strength is None and len(rows) == 1:
        (strength,) = rows
    if strength not in rows:
        words = " or ".join(f"{one:g}" for one in rows)
        raise LookupError(f"{remedy} was tried with --strength {words}")
    groups, section = rows[strength]["groups"], f"{model}_remedy"
    if remedy in ("weights", "resampling"):
        if axis in MEASURED_AXES:
            raise ValueError(
                f"training_set cannot balance {axis}, which is measured in images; choose another "
                "remedy, or another fairness.axis"
            )
        balance = {"axes": [axis], "toward": "uniform", "max_weight": strength, "by": remedy}
        values = {f"training_set.{name}": value for name, value in balance.items()}
        return {f"{section}.method": "none", **values}
    own: dict[str, Any] = {}
    if remedy == "mindiff":
        pairs = [{"axis": axis, "group": name} for name in pair_groups(groups)]
        own = {f"{section}.pairs": pairs, f"{section}.weight": strength}
    elif remedy == "rate_constraint":
        own = {f"{section}.recall": {axis: dict.fromkeys(groups, strength)}}
    return {f"{section}.method": remedy, **own}
