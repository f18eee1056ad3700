"""Which predictions to look at first, as records for the report."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.audit import hardest
from iip_assets.metrics.display_names import spelled
from iip_assets.report.metrics import rounded

MOST = 12

Record = dict[str, Any]


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
        for row in with_facts(worst, images).iter_rows(named=True)
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
        for row in with_facts(surest, images).iter_rows(named=True)
    ]


def with_facts(rows: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The rows with `path` and `batch` of each image."""
    facts = images.select("image_id", "path", "batch")
    return rows.join(facts, on="image_id", how="left", maintain_order="left")


def _about(row: dict[str, Any]) -> Record:
    return {name: row.get(name) for name in ("label", "batch", "path")}
