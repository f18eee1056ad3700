"""Several labelers: how far they agree, who is worse than the others, and what is to be decided."""

from __future__ import annotations

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
    Section,
    Table,
    percent,
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
    queue, agreement = label_consensus["queue"], records(label_consensus["agreement"])
    counts = {
        f"{name}_{what}": table.height
        for what, name in (("labels", "classes"), ("masks", "masks"))
        for name, table in (
            ("all", label_consensus[name]),
            ("clear", label_consensus[name].filter("clear")),
        )
    }
    if not any(counts.values()):
        return None
    people = {} if model_evaluation is None else _people(model_evaluation["metrics"])
    data: Record = {
        **{"labelers": records(label_consensus["labelers"]), "agreement": agreement, **counts},
        **{"beside_models": people, "to_decide": queue.height},
        "worst": records(with_facts(queue.head(MOST), raw_dataset["images"])),
    }
    text = (
        f"Several people labelled {counted(counts['all_labels'], 'image')}, of which "
        f"{counts['clear_labels']} have a clear label, and drew masks of {counts['all_masks']}, of "
        f"which {counts['clear_masks']} have a clear mask. {_HOW}"
    )
    columns = ["metric", "value", "n_images", "n_subjects", "enough"]
    overall = [row for row in agreement if row["axis"] == OVERALL]
    by_slice = [row for row in agreement if row["axis"] != OVERALL]
    folded = "Agreement by slice as a table"
    alt = "Agreement of each labeler with the others, with intervals"
    blocks: list[Block] = [
        Paragraph(text),
        plot(lambda: labelers_figure(label_consensus["labelers"]), alt),
        _labeler_table(data["labelers"]),
        Table("Agreement on all images", ["what", *columns], overall),
        Table("Agreement by slice", ["what", "axis", "slice", *columns], by_slice, folded=folded),
        *(
            Table(
                f"People beside the {model}, on the same images",
                ["who", "value", "n_images", "n_subjects"],
                rows,
            )
            for model, rows in people.items()
        ),
    ]
    if worst := data["worst"]:
        leads = (f"{percent(row['score'])} of votes apart" for row in worst)
        shown = gallery(worst, leads, (f", {row['reason']}" for row in worst))
        blocks += [Heading(f"To be decided, the worst first: {queue.height}"), shown]
    return Section("labelers", "Labelers", blocks, {"labelers": data}, steps=_steps(data))


def _people(metrics: pl.DataFrame) -> dict[str, list[Record]]:
    """Human level beside each model, where there is one."""
    points = reference_points(metrics, None)
    found = {
        model: [row for row in rows if row["on"] == OF_SEVERAL] for model, rows in points.items()
    }
    return {model: rows for model, rows in found.items() if rows}


def _labeler_table(rows: list[Record]) -> Table:
    columns: list[Column | str] = [
        *("labeler", "what", "metric", "value"),
        Column("the others", "others", NUMBER),
        Column("alpha", "alpha", NUMBER),
        Column("reliability", "reliability", NUMBER),
        Column("weight", "weight", PERCENT),
        *("n_images", "n_subjects"),
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
            f"Labeler {row['labeler']} is clearly worse at {row['what']}s than the others",
            f"{row['reason']}; n = {counted(row['n_images'], 'image')} of "
            f"{counted(row['n_subjects'], 'subject')}. Go through LABELING.md together before "
            "more is labelled.",
        )
        for row in data["labelers"]
        if row["flagged"]
    ]
    text = "What is clear becomes a batch with `iip labels consensus --write inbox/consensus`."
    title = f"Labelers leave {counted(data['to_decide'], 'image')} open: somebody should decide"
    return [*steps, *([NextStep(5, title, text)] if data["to_decide"] else [])]
