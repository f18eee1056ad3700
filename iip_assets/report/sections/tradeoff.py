"""What remedies bring to the group that fares worst, and what they cost all."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.fairness.figures import tradeoff_figure
from iip_assets.fairness.tradeoff import NOT_DEPLOYED
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    NUMBER,
    Column,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    estimate_column,
    number,
    plot,
    short_number,
    signed,
)
from iip_assets.report.metrics import records

_TEXT = (
    "The filter's head was trained with each remedy from several seeds, on three quarters of the "
    "training subjects, and judged on the validation images. Crosses span the seeds; dots are the "
    "seeds without a remedy: to choose among them is free. No point lies above the front of steps. "
    "The threshold optimizer asks for the group of each image when it decides, and reductions are "
    "of a logistic regression: both stand here to compare, and cannot be deployed."
)


def tradeoff(fairness_tradeoff: dict[str, pl.DataFrame]) -> Section:
    """The chart of remedies and its points."""
    rows = records(fairness_tradeoff["tradeoff"])
    alt = "Recall of the group that fares worst against accuracy, by remedy and strength"
    blocks = [
        Paragraph(_TEXT),
        plot(lambda: tradeoff_figure(fairness_tradeoff), alt),
        tradeoff_table(rows),
    ]
    return Section("tradeoff", "What remedies cost", blocks, {"tradeoff": rows}, steps=_steps(rows))


def tradeoff_table(rows: Sequence[Row]) -> Table:
    """A row for each remedy and strength; those on the Pareto front are strong."""

    def measured(title: str, name: str) -> Column:
        return estimate_column(title, name, f"{name}_low", f"{name}_high", ends=short_number)

    columns: list[Column | str] = [
        Column("remedy", lambda row: f"{spelled(row['remedy'])} {row['strength']:g}"),
        measured("accuracy", "accuracy"),
        measured("worst group's recall", "worst_recall"),
        Column("worst group", "worst_group"),
        measured("gap", "gap"),
        Column("gap by seed, least", "gap_least", NUMBER),
        Column("largest", "gap_largest", NUMBER),
    ]
    caption = "Means over seeds with intervals over subjects; a gap is the largest of two recalls"
    return Table(caption, columns, rows, tone=lambda row: "strong" if row["pareto"] else "")


def _steps(rows: Sequence[Row]) -> list[NextStep]:
    """The remedy with the least gap of those that surely lower it and cost no sure accuracy."""
    found = [
        row
        for row in rows
        if (row["gap_change_high"] or 0) < 0
        and (row["accuracy_change_high"] or 0) >= 0
        and row["remedy"] not in NOT_DEPLOYED
    ]
    if not found:
        return []
    best = min(found, key=lambda row: (row["gap"], row["remedy"], row["strength"]))
    command = f"iip fairness choose {best['remedy']} --strength {best['strength']:g} --why TEXT"
    text = (
        f"With {spelled(best['remedy'])} {best['strength']:g} the gap between groups is "
        f"{number(best['gap'])} ({signed(best['gap_change'])}), accuracy "
        f"{number(best['accuracy'])} ({signed(best['accuracy_change'])}): `{command}`."
    )
    return [NextStep(3, "A remedy lowers the filter's gap between groups", text)]
