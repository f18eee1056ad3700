"""Several labelers: how far they agree, who is worse than the others, and what is to be decided."""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl

from iip_assets.errors import counted
from iip_assets.labels.figures import labelers_figure
from iip_assets.metrics.names import OVERALL
from iip_assets.report.blocks import (
    NUMBER,
    PERCENT,
    Block,
    Column,
    Heading,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    number,
    plot,
)
from iip_assets.report.metrics import records
from iip_assets.report.sections.failures import MOST, gallery, with_facts
from iip_assets.report.sections.models import OF_SEVERAL, reference_points

_HOW = (
    "A labeler is held against the others on the same images, and named where he agrees clearly "
    "less with them than they do with each other. Reliability is how far he agrees with the "
    "consensus. Alpha is Krippendorff's: 1 is full agreement, 0 what chance gives, and 0.8 is "
    "commonly asked for."
)

Record = dict[str, Any]


def labelers(
    raw_dataset: dict[str, pl.DataFrame],
    label_consensus: dict[str, pl.DataFrame],
    model_evaluation: dict[str, pl.DataFrame] | None = None,
) -> Section | None:
    """Agreement by labeler and slice, people beside the models, and the images to decide."""
    classes, masks = label_consensus["classes"], label_consensus["masks"]
    if classes.is_empty() and masks.is_empty():
        return None
    queue = label_consensus["queue"]
    worst = records(with_facts(queue.head(MOST), raw_dataset["images"]))
    people = [] if model_evaluation is None else _people(model_evaluation["metrics"])
    data: Record = {
        "labelers": records(label_consensus["labelers"]),
        "agreement": records(label_consensus["agreement"]),
        "beside_models": people,
        "labels": {"images": classes.height, "clear": int(classes["clear"].sum())},
        "masks": {"images": masks.height, "clear": int(masks["clear"].sum())},
        "to_decide": queue.height,
        "worst": worst,
    }
    told = [
        f"{what} of {counted(data[what]['images'], 'image')}, clear for {data[what]['clear']}"
        for what in ("labels", "masks")
    ]
    text = f"Two or more people gave {' and '.join(told)}. {_HOW}"
    by_slice = [row for row in data["agreement"] if row["axis"] != OVERALL]
    overall = [row for row in data["agreement"] if row["axis"] == OVERALL]
    columns: list[Column | str] = ["metric", "value", "n_images", "n_subjects", "enough"]
    blocks: list[Block] = [Paragraph(text)]
    if data["labelers"]:
        alt = "Agreement of each labeler with the others, with intervals"
        blocks += [plot(partial(labelers_figure, label_consensus["labelers"]), alt)]
        blocks += [_labeler_table(data["labelers"])]
    blocks += [
        Table("Agreement on all images", [Column("of", _many), *columns], overall),
        Table(
            "Agreement by slice",
            [Column("of", _many), "axis", "slice", *columns],
            by_slice,
            folded="Agreement by slice as a table",
        ),
    ]
    if people:
        table = ["model", "who", "value", "n_images", "n_subjects"]
        blocks.append(Table("People beside the models, on the same images", table, people))
    if worst:
        leads = (f"{number(row['score'])} apart" for row in worst)
        captions = (f", {row['reason']}" for row in worst)
        shown = gallery(worst, leads, captions)
        blocks += [Heading(f"To be decided, the worst first: {queue.height}"), shown]
    return Section("labelers", "Labelers", blocks, {"labelers": data}, steps=_steps(data))


def _many(row: Row) -> str:
    return f"{row['what']}s"


def _people(metrics: pl.DataFrame) -> list[Record]:
    points = reference_points(metrics, None)
    return [
        {"model": model, **row}
        for model, rows in points.items()
        for row in rows
        if row["on"] == OF_SEVERAL
    ]


def _labeler_table(rows: list[Record]) -> Table:
    columns: list[Column | str] = [
        Column("labeler", lambda row: f"{row['labeler']}: {_many(row)}"),
        "metric",
        "value",
        Column("the others", "others", NUMBER),
        Column("alpha without", "alpha_without", NUMBER),
        Column("reliability", "reliability", NUMBER),
        Column("weight", "weight", PERCENT),
        "n_images",
        "n_subjects",
        Column(
            "",
            lambda row: "worse than the others" if row["flagged"] else "",
            tone=lambda row: "bad" if row["flagged"] else "",
        ),
    ]
    return Table("Labelers, each held against the others", columns, rows)


def _steps(data: Record) -> list[NextStep]:
    steps = [
        NextStep(
            2,
            f"Labeler {row['labeler']} is clearly worse at {_many(row)} than the others",
            f"{row['reason']}; n = {counted(row['n_images'], 'image')} of "
            f"{counted(row['n_subjects'], 'subject')}. Go through LABELING.md together before "
            "more is labelled.",
        )
        for row in data["labelers"]
        if row["flagged"]
    ]
    if data["to_decide"]:
        images = counted(data["to_decide"], "image")
        text = (
            f"The labels or masks of {images} leave it open. What is clear becomes a batch with "
            "`iip labels consensus --write inbox/consensus`."
        )
        steps.append(NextStep(5, "Labelers disagree, and somebody should decide", text))
    return steps
