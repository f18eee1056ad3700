"""What remedies bring to the group that fares worst, and what they cost all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from iip_assets.fairness.figures import ALT, tradeoff_figure
from iip_assets.fairness.tradeoff import MEASURES, METRICS, NOT_DEPLOYED
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.report.blocks import (
    Block,
    Column,
    Heading,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    estimate_column,
    interval,
    number,
    plot,
    short_number,
    signed,
)
from iip_assets.report.metrics import records

_TEXT = {
    FILTER.name: "The filter's head was trained with each remedy from several seeds, on three "
    "quarters of the training subjects, and judged on the validation images. The threshold "
    "optimizer asks for the group of each image when it decides, and a reduction is a mixture of "
    "logistic regressions: both stand here to compare, and are not deployed.",
    SEGMENTER.name: "Small segmenters, likewise.",
}
_CHART = (
    "Crosses span the seeds; to choose among the seeds without a remedy is free. No point lies "
    "above the steps."
)
# A loss of accuracy that is larger is one, however unsure.
_LOSS = 0.01


def tradeoff(
    fairness_tradeoff: dict[str, pl.DataFrame] | None = None,
    segmenter_tradeoff: dict[str, pl.DataFrame] | None = None,
) -> Section | None:
    """The chart of each model's remedies and its points."""
    blocks: list[Block] = []
    found: dict[str, Sequence[Row]] = {}
    for tables in (fairness_tradeoff, segmenter_tradeoff):
        if tables is None or tables["tradeoff"].is_empty():
            continue
        model = tables["tradeoff"]["model"][0]
        found[model] = records(tables["tradeoff"])
        blocks += [
            Heading(model.capitalize()),
            Paragraph(_TEXT[model]),
            plot(partial(tradeoff_figure, tables), ALT, _CHART),
            tradeoff_table(found[model]),
        ]
    steps = [step for model, rows in found.items() for step in _steps(model, rows)]
    data = {"tradeoff": found}
    return Section("tradeoff", "What remedies cost", blocks, data, steps=steps) if found else None


def tradeoff_table(rows: Sequence[Row]) -> Table:
    """A row for each remedy and strength of a model; those on the Pareto front are strong."""
    overall, of_group = METRICS[rows[0]["model"]]
    columns = [
        Column("remedy", lambda row: f"{spelled(row['remedy'])} {row['strength']:g}"),
        *(
            estimate_column(one, one, f"{one}_low", f"{one}_high", ends=short_number)
            for one in MEASURES
        ),
        Column("worst group", "worst_group"),
        Column("gap by seed", lambda row: interval(row["gap_least"], row["gap_largest"])),
    ]
    caption = f"Means over seeds with intervals over subjects: {overall}; of groups {of_group}"
    return Table(caption, columns, rows, tone=lambda row: "strong" if row["pareto"] else "")


def _steps(model: str, rows: Sequence[Row]) -> list[NextStep]:
    """The remedy with the least gap of those that surely lower it and cost all images nothing."""
    found = [
        row
        for row in rows
        if row["remedy"] not in NOT_DEPLOYED
        and (row["gap_change_high"] or 0) < 0
        and (row["overall_change_high"] or 0) >= 0
        and row["overall_change"] >= -_LOSS
    ]
    if not found:
        return []
    row = min(found, key=lambda row: row["gap"])
    text = (
        f"With {spelled(row['remedy'])} {row['strength']:g} the gap between groups is "
        f"{number(row['gap'])} ({signed(row['gap_change'])}); {METRICS[model][0]} is "
        f"{number(row['overall'])} ({signed(row['overall_change'])}): `iip fairness choose "
        f"{row['remedy']} --model {model} --strength {row['strength']:g} --why TEXT`."
    )
    return [NextStep(3, f"A remedy lowers the {model}'s gap between groups", text)]
