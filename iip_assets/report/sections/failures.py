"""Which predictions to look at first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.audit import explained_images as hardest
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Section,
    number,
    percent,
)
from iip_assets.report.metrics import rounded

MOST = 12
THUMBNAIL = {"width": 200, "height": 150}

Record = dict[str, Any]


def failures(raw_dataset: dict[str, pl.DataFrame], predictions: pl.DataFrame) -> Section:
    """The lowest IoU of the segmenter, and the filter's surest contradictions of labels."""
    images = raw_dataset["images"]
    worst, surest = worst_segmentations(predictions, images), surest_errors(predictions, images)
    data = {"failures": {"segmenter": worst, "filter": surest}}
    blocks: list[Block] = []
    text = (
        "Held-out images to look at first. Some may be errors of the label rather than of the "
        "model."
    )
    if worst or surest:
        blocks.append(Paragraph(text))
    if worst:
        pictures = [
            gallery_picture(
                row,
                number(row["value"]),
                f" {row['label'] or 'no label'}, {row['batch'] or 'no batch'}",
            )
            for row in worst
        ]
        blocks += [
            Heading(f"Segmenter: lowest {worst[0]['metric']}"),
            Pictures(pictures, "gallery"),
        ]
    if surest:
        pictures = [
            gallery_picture(
                row,
                f"{row['predicted']} {percent(row['confidence'])}",
                f", labelled {row['label']}, {row['batch'] or 'no batch'}",
            )
            for row in surest
        ]
        blocks += [
            Heading("Filter: surest contradictions of the label"),
            Pictures(pictures, "gallery"),
        ]
    return Section("failures", "Failures", blocks, data)


def gallery_picture(row: Mapping[str, Any], lead: str, caption: str) -> Picture:
    """A thumbnail of a record's image with a caption."""
    image_id = row["image_id"]
    alt = f"Image {row['path'] or image_id}"
    return Picture(
        alt, lambda reader: reader.thumbnail(image_id, **THUMBNAIL), (image_id,), lead, caption
    )


def worst_segmentations(
    predictions: pl.DataFrame, images: pl.DataFrame, *, most: int = MOST
) -> list[Record]:
    """Held-out images with the lowest IoU, the lowest first.

    Args:
        predictions: The asset's table.
        images: The table "images" of raw_dataset.
        most: At most so many.
    """
    worst = hardest.lowest_iou(predictions, most=most)
    column = hardest.iou_column(worst)
    if column is None:
        return []
    return [
        {
            "image_id": row["image_id"],
            "metric": spelled(column).replace("IoU ", "IoU of ", 1),
            "value": rounded(row[column]),
            **_about(row),
        }
        for row in _with_facts(worst, images).iter_rows(named=True)
    ]


def surest_errors(
    predictions: pl.DataFrame, images: pl.DataFrame, *, most: int = MOST
) -> list[Record]:
    """Held-out images whose label the filter contradicts, the most confident first.

    Args:
        predictions: The asset's table.
        images: The table "images" of raw_dataset.
        most: At most so many.
    """
    surest = hardest.surest_errors(predictions, most=most)
    return [
        {
            "image_id": row["image_id"],
            "predicted": row["predicted"],
            "confidence": rounded(row["confidence"]),
            **_about(row),
        }
        for row in _with_facts(surest, images).iter_rows(named=True)
    ]


def _with_facts(rows: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The rows with `path` and `batch` of each image."""
    facts = images.select("image_id", "path", "batch")
    return rows.join(facts, on="image_id", how="left", maintain_order="left")


def _about(row: dict[str, Any]) -> Record:
    return {name: row.get(name) for name in ("label", "batch", "path")}
