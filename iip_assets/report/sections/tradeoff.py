"""What remedies bring to the group that fares worst, and what they cost all."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import polars as pl

from iip_assets.fairness.figures import ALT, tradeoff_figure
from iip_assets.fairness.tradeoff import MEASURES, NOT_DEPLOYED
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    Block,
    Column,
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

_TEXT = (
    "The filter's head was trained with each remedy from several seeds, on three quarters of the "
    "training subjects, and judged on the validation images. Crosses span the seeds; to choose "
    "among the seeds without a remedy is free. No point lies above the steps. The threshold "
    "optimizer asks for the group of each image when it decides, and a reduction is a mixture of "
    "logistic regressions: both stand here to compare, and are not deployed."
)
# A loss of accuracy that is larger is one, however unsure.
_LOSS = 0.01


def tradeoff(fairness_tradeoff: dict[str, pl.DataFrame]) -> Section:
    """The chart of remedies and its points."""
    rows = records(fairness_tradeoff["tradeoff"])
    chart = plot(partial(tradeoff_figure, fairness_tradeoff), ALT)
    blocks: list[Block] = [Paragraph(_TEXT), chart, tradeoff_table(rows)]
    return Section("tradeoff", "What remedies cost", blocks, {"tradeoff": rows}, steps=_steps(rows))


def tradeoff_table(rows: Sequence[Row]) -> Table:
    """A row for each remedy and strength; those on the Pareto front are strong."""
    columns = [
        Column("remedy", lambda row: f"{spelled(row['remedy'])} {row['strength']:g}"),
        *(
            estimate_column(spelled(one), one, f"{one}_low", f"{one}_high", ends=short_number)
            for one in MEASURES
        ),
        Column("worst group", "worst_group"),
        Column("gap by seed", lambda row: interval(row["gap_least"], row["gap_largest"])),
    ]
    caption = "Means over seeds with intervals over subjects; the gap is that of two recalls"
    return Table(caption, columns, rows, tone=lambda row: "strong" if row["pareto"] else "")


def _steps(rows: Sequence[Row]) -> list[NextStep]:
    """The remedy with the least gap of those that surely lower it and cost no accuracy."""
    found = [
        row
        for row in rows
        if row["remedy"] not in NOT_DEPLOYED
        and (row["gap_change_high"] or 0) < 0
        and (row["accuracy_change_high"] or 0) >= 0
        and row["accuracy_change"] >= -_LOSS
    ]
    if not found:
        return []
    row = min(found, key=lambda row: row["gap"])
    text = (
        f"With {spelled(row['remedy'])} {row['strength']:g} the gap between groups is "
        f"{number(row['gap'])} ({signed(row['gap_change'])}) at an accuracy of "
        f"{number(row['accuracy'])} ({signed(row['accuracy_change'])}): `iip fairness choose "
        f"{row['remedy']} --strength {row['strength']:g} --why TEXT`."
    )
    return [NextStep(3, "A remedy lowers the filter's gap between groups", text)]
