"""What changed images cost the models."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import polars as pl

from iip_assets.errors import counted
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Heading,
    NextStep,
    Paragraph,
    Section,
    Table,
    estimate_column,
    number,
    over_interval,
    plot,
)
from iip_assets.report.metrics import records, rounded
from iip_assets.robustness.cells import MEAN, worst_cells
from iip_assets.robustness.figures import cells_figure, robustness_figure
from iip_assets.robustness.matched import BEYOND, MATCHED

# A smaller loss is not named.
NAMED_LOSS = 0.05
_MOST_CELLS = 8

Record = dict[str, Any]


def robustness(robustness_benchmark: dict[str, pl.DataFrame]) -> Section:
    """Each model's main metric by corruption and severity, and by group."""
    curves, cells = robustness_benchmark["curves"], robustness_benchmark["cells"]
    rows = robustness_table(curves)
    blocks: list[Block] = []
    if rows:
        alt = "Metric of each model against severity, a panel for each corruption"
        losses = Table(
            "From clean images to the highest severity at which the metric is known",
            [
                "model",
                "corruption",
                "metric",
                Column("clean", "clean", NUMBER),
                Column("worst", "worst", NUMBER),
                Column("at severity", "worst_severity", COUNT),
                "loss",
                "n_images",
            ],
            rows,
            folded="Losses as a table",
        )
        blocks += [plot(lambda: robustness_figure(curves), alt, "Bands are intervals."), losses]
    if cells.height:
        alt = "What each group loses under each corruption, as the mean over severities"
        blocks += [Heading("By group"), plot(lambda: cells_figure(cells), alt)]
    worst, held = records(worst_cells(cells, _MOST_CELLS)), _beside_fixed(cells)
    blocks += _cell_blocks(worst, held)
    if matched := records(robustness_benchmark["matched"]):
        blocks += _matched_blocks(matched, rows)
    data = {"robustness": rows, "robustness_cells": records(cells), "robustness_worst": worst}
    data |= {"corruption_errors": held, "matched": matched}
    return Section("robustness", "Robustness", blocks, data, steps=_largest_losses(rows))


def _beside_fixed(cells: pl.DataFrame) -> list[Record]:
    """The errors of all images by corruption, and their mean by group, beside a fixed model."""
    shown = (pl.col("axis") == OVERALL) | (pl.col("corruption") == MEAN)
    order = ["model", "axis", "slice", "corruption"]
    return records(cells.filter(shown).drop_nulls("ce").sort(order))


def _cell_blocks(worst: list[Record], held: list[Record]) -> list[Block]:
    """The groups that lose most under a corruption, and errors beside a fixed model."""
    group = Column("group", lambda row: f"{row['axis']} {row['slice']}")
    blocks: list[Block] = []
    if worst:
        columns: list[Column | str] = [
            *("model", "corruption", group),
            Column("clean", "clean", NUMBER),
            estimate_column("mean of severities, interval"),
            Column("loss", "loss", NUMBER),
            *("n_images", "n_subjects"),
        ]
        blocks.append(Table("Groups that lose most, of those that can be judged", columns, worst))
    if held:
        columns = [
            *("model", "corruption", group),
            estimate_column("corruption error", "ce", "ce_low", "ce_high"),
            *("n_images", "n_subjects"),
        ]
        blocks.append(
            Table(
                "Errors over all severities, over those of the fixed model: below 1 this one "
                "holds better; the mean is mCE",
                *(columns, held),
            )
        )
    else:
        text = "`iip models baseline MODEL VERSION` holds errors against a fixed model (mCE)."
        blocks.append(Paragraph(text))
    return blocks


def _matched_blocks(rows: list[Record], curves: list[Record]) -> list[Block]:
    """At which severities test images look as the newest batch does, and the metrics there."""
    first, by_name = rows[0], {(one["model"], one["corruption"]): one for one in curves}
    text = (
        f"{counted(first['n_newest'], 'image')} of the newest batch against "
        f"{first['n_clean']:,} {first['against']}, by the mean of one measure at a time: a darker "
        "batch has less contrast, too. Metrics are those at the next whole severity, or at 5."
    )

    def there(model: str, row: Record) -> str:
        curve = by_name.get((model, row["corruption"]))
        if curve is None or row["verdict"] not in (MATCHED, BEYOND):
            return ""
        at = math.ceil(5 if row["severity"] is None else row["severity"])
        place = curve["severities"].index(at)
        shown = over_interval(*(curve[one][place] for one in ("values", "low", "high")))
        return f"{shown}\nat {at}; clean {number(curve['clean'])}"

    columns: list[Column | str] = [
        *("corruption", "verdict"),
        estimate_column("severity", "severity", "severity_low", "severity_high"),
        *(
            Column(f"{model}, {spelled(TASKS[model].headline)}", partial(there, model))
            for model in dict.fromkeys(one["model"] for one in curves)
        ),
        Column("measure", lambda row: spelled(row["measure"])),
        Column("newest batch", "newest", NUMBER),
        Column(first["against"], "clean", NUMBER),
        estimate_column("difference", *("difference", "difference_low", "difference_high")),
    ]
    return [Paragraph(text), Table("Severities at which test images match", columns, rows)]


def robustness_table(benchmark: pl.DataFrame) -> list[Record]:
    """For each model and corruption: clean, at every severity, and the loss at the worst.

    That is the highest severity at which the metric is known; without it or a clean value there is
    no loss. The largest loss comes first.
    """
    headline = pl.col("model").replace_strict({one: TASKS[one].headline for one in TASKS})
    curves = (
        benchmark.filter(pl.col("metric") == headline)
        .sort("model", "corruption", "severity")
        .group_by("model", "corruption", maintain_order=True)
        .agg(
            pl.col("metric").first(),
            pl.col("severity").alias("severities"),
            pl.col("value").alias("values"),
            pl.col("low", "high"),
            pl.col("n_images").max(),
        )
    )
    table = records(curves)
    for row in table:
        at = dict(zip(row["severities"], row["values"], strict=True))
        row["clean"] = at.get(0)
        known = [severity for severity, value in at.items() if severity and value is not None]
        row["worst_severity"] = max(known, default=None)
        row["worst"] = at.get(row["worst_severity"])
        both = None not in (row["clean"], row["worst"])
        row["loss"] = rounded(row["clean"] - row["worst"]) if both else None
    return sorted(table, key=lambda row: (row["model"], -(row["loss"] or 0), row["corruption"]))


def _largest_losses(table: list[Record]) -> list[NextStep]:
    found = []
    for model in dict.fromkeys(row["model"] for row in table):
        rows = [row for row in table if row["model"] == model and _surely_worse(row)]
        worst = max(rows, key=lambda row: (row["loss"], row["corruption"]), default=None)
        if worst is None or worst["loss"] < NAMED_LOSS:
            continue
        found.append(
            NextStep(
                6,
                f"The {model} suffers most from {spelled(worst['corruption'])}",
                f"{spelled(worst['metric'])} falls by {worst['loss']:.3f} at severity "
                f"{worst['worst_severity']} (n = {worst['n_images']}). Augmentation or more such "
                "images may help, if they occur in use.",
            )
        )
    return found


def _surely_worse(row: Record) -> bool:
    """Whether there is a loss, and the intervals of clean and of changed images do not meet.

    That is far stricter than a test of one corruption, as many are compared.
    """
    return (
        bool(row["loss"])
        and None not in row["low"][:1] + row["high"][-1:]
        and (row["high"][-1] < row["low"][0])
    )
