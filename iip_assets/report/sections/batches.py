"""What batches brought and promised, and what to label next and why."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.audit.figures import batches_figure, verdict_rows
from iip_assets.errors import counted
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Heading,
    Images,
    NextStep,
    Paragraph,
    Section,
    Table,
    estimate_column,
    number,
    plot,
    signed,
)
from iip_assets.report.gallery import paths, thumbnail
from iip_assets.report.metrics import records

MOST = 24
_TEXT = (
    "The filter's last layer was trained with and without each of the newest batches, and both "
    "were judged on the validation images. A batch helps or hurts only where the interval of the "
    "difference leaves out 0. Batches that brought labels for images of others alone are not tried."
)
_PROMISES = (
    "A batch promises the part of the filter's expected macro error on the pool that lies near its "
    "images, the most that it can gain. What came is the change of F1 macro on the validation "
    "images by training with the batch, beside what was labelled before it."
)


def batches(batch_verdict: pl.DataFrame) -> Section | None:
    """Did each of the newest batches help or hurt the filter."""
    if batch_verdict.is_empty():
        return None
    rows = verdict_rows(batch_verdict)
    table = Table(
        "Training with the batch against training without it, the newest first",
        [
            "batch",
            "verdict",
            estimate_column("change of F1, interval", "difference", show=signed),
            Column("training images", "training_images", COUNT),
        ],
        rows,
    )
    alt = "Change of the filter's F1 by batch, with intervals"
    blocks: list[Block] = [
        Paragraph(_TEXT),
        plot(lambda: batches_figure(batch_verdict), alt),
        table,
    ]
    return Section("batches", "What each batch did", blocks, {"batch_verdicts": rows})


def next_labels(
    raw_dataset: dict[str, pl.DataFrame],
    labeling_priorities: pl.DataFrame | None = None,
    kept_promises: pl.DataFrame | None = None,
) -> Section | None:
    """The images to label next with the reasons, and the promises of earlier batches."""
    blocks: list[Block] = []
    data: dict[str, Any] = {}
    steps: list[NextStep] = []
    if labeling_priorities is not None:
        columns = ("rank", "image_id", "gain", "promised_gain", "reason")
        data["next_labels"] = rows = records(labeling_priorities.select(columns))
        path_of = paths(raw_dataset)
        promised = number(sum(row["promised_gain"] for row in rows))
        command = f"iip label next --n {len(rows)} --format labelstudio --out FOLDER"
        words = (
            f"Their labels promise to settle {promised} of the filter's expected macro error on "
            f"the images without a label: `{command}`."
        )
        tiles = [
            thumbnail(
                (row["image_id"], path_of.get(row["image_id"])),
                size=(160, 120),
                lead=f"{row['rank']}.",
                caption=f" {row['reason']}",
                alt=f"Image to label, number {row['rank']}",
            )
            for row in rows[:MOST]
        ]
        blocks += [Paragraph(words), Images(tiles, "gallery")]
        steps.append(NextStep(5, f"Label {counted(len(rows), 'image')} next", words))
    if kept_promises is not None and not kept_promises.is_empty():
        data["kept_promises"] = kept = records(kept_promises)
        shown: list[str | Column] = [
            "batch",
            Column("promised", "promised", NUMBER),
            estimate_column("change of F1, interval", "realised", show=signed),
            Column("training images", "training_images", COUNT),
            "n_subjects",
        ]
        blocks += [
            Heading("What earlier choices promised and brought"),
            Paragraph(_PROMISES),
            Table("Batches of `iip label next`, the newest first", shown, kept),
        ]
    return Section("labels", "What to label next", blocks, data, steps=steps) if blocks else None
