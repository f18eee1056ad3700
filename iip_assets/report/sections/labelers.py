"""Several labelers: how far they agree, who is worse than the others, and what is to be decided."""

from __future__ import annotations

import polars as pl

from iip_assets.errors import counted
from iip_assets.metrics.names import OVERALL, spelled
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
    number,
    percent,
)
from iip_assets.report.gallery import gallery, with_facts
from iip_assets.report.metrics import records
from iip_assets.report.sections.failures import MOST

_TEXT = (
    "A labeler is held against the others on the same images, and named where he agrees clearly "
    "less with them than they do with each other. Alpha is Krippendorff's: 1 is full agreement, 0 "
    "what chance gives, and 0.8 is commonly asked for."
)


def labelers(
    raw_dataset: dict[str, pl.DataFrame], label_consensus: dict[str, pl.DataFrame]
) -> Section | None:
    """Agreement by labeler and slice, and the images to decide."""
    labels, masks, queue = (label_consensus[name] for name in ("classes", "masks", "queue"))
    if labels.is_empty() and masks.is_empty():
        return None
    people, agreement = (records(label_consensus[name]) for name in ("labelers", "agreement"))
    worst = records(with_facts(queue.head(MOST), raw_dataset["images"]))
    columns = ["metric", "value", "n_images", "n_subjects", "enough"]
    overall = [row for row in agreement if row["axis"] == OVERALL]
    by_slice = [row for row in agreement if row["axis"] != OVERALL]
    by_labeler: list[Column | str] = [
        *("labeler", "metric", "value"),
        Column("the others", "others", NUMBER),
        Column("weight", "weight", PERCENT),
        *("n_images", "n_subjects"),
        Column(
            "",
            lambda row: "worse than the others" if row["flagged"] else "",
            tone=lambda row: "bad" if row["flagged"] else "",
        ),
    ]
    counts = (
        f"Several people labelled {counted(labels.height, 'image')}, of which "
        f"{labels['clear'].sum()} have a clear label, and drew masks of {masks.height}, of which "
        f"{masks['clear'].sum()} have a clear mask. "
    )
    blocks: list[Block] = [
        Paragraph(counts + _TEXT),
        Table("Labelers, each held against the others", by_labeler, people),
        Table("Agreement on all images", columns, overall),
        Table("Agreement by slice", ["axis", "slice", *columns], by_slice, folded="By slice"),
    ]
    steps = [
        NextStep(
            2,
            f"Labeler {row['labeler']} is clearly worse at {row['what']}s than the others",
            f"{spelled(row['metric'])} {number(row['value'])} with the others, who have "
            f"{number(row['others'])} with each other; n = {counted(row['n_images'], 'image')} of "
            f"{counted(row['n_subjects'], 'subject')}. Go through LABELING.md together before "
            "more is labelled.",
        )
        for row in people
        if row["flagged"]
    ]
    if worst:
        leads = (f"{percent(row['score'])} apart" for row in worst)
        shown = gallery(worst, leads, (f", {row['reason']}" for row in worst))
        blocks += [Heading(f"To be decided, the worst first: {queue.height}"), shown]
        title = f"Labelers leave {counted(queue.height, 'image')} open: somebody should decide"
        text = "What is clear becomes a batch with `iip labels consensus --write inbox/consensus`."
        steps.append(NextStep(5, title, text))
    data = {"labelers": people, "agreement": agreement, "worst": worst, "to_decide": queue.height}
    return Section("labelers", "Labelers", blocks, {"labelers": data}, steps=steps)
