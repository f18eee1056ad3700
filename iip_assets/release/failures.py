"""Which predictions to look at first: the segmenter's worst, the filter's surest errors."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.release.metrics import rounded

MOST = 12
FILTER_CLASSES = ("full", "partial", "none")

Record = dict[str, Any]


def held_out(predictions: pl.DataFrame) -> pl.DataFrame:
    """Predictions on images that no model was trained on: the test split, or else validation."""
    for split in ("test", "validation"):
        rows = predictions.filter(pl.col("split") == split)
        if rows.height:
            return rows
    return predictions.clear()


def segmenter_column(predictions: pl.DataFrame) -> str | None:
    """The IoU to rank by: of the iris, or else of the last class that is not background."""
    names = [
        name
        for name in predictions.columns
        if name.startswith("iou_") and name != "iou_background" and predictions[name].count()
    ]
    return "iou_iris" if "iou_iris" in names else names[-1] if names else None


def worst_segmentations(
    predictions: pl.DataFrame, images: pl.DataFrame, *, most: int = MOST
) -> list[Record]:
    """Held-out images with the lowest IoU, the lowest first.

    Args:
        predictions: The asset's table.
        images: The table "images" of raw_dataset.
        most: At most so many.
    """
    rows = held_out(predictions)
    column = segmenter_column(rows)
    if column is None:
        return []
    worst = rows.drop_nulls(column).sort(column, "image_id").head(most)
    return [
        {
            "image_id": row["image_id"],
            "metric": column.replace("iou_", "IoU of ").replace("_", " "),
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
    if "predicted" not in predictions.columns:
        return []
    rows = held_out(predictions).filter(
        pl.col("label").is_in(FILTER_CLASSES)
        & pl.col("predicted").is_not_null()
        & (pl.col("predicted") != pl.col("label"))
    )
    confidence = pl.max_horizontal(f"prob_{name}" for name in FILTER_CLASSES)
    surest = (
        rows.with_columns(confidence.alias("confidence"))
        .sort(["confidence", "image_id"], descending=[True, False])
        .head(most)
    )
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
    facts = images.select("image_id", "path", "batch")
    return rows.join(facts, on="image_id", how="left", maintain_order="left")


def _about(row: dict[str, Any]) -> Record:
    return {name: row.get(name) for name in ("label", "batch", "path")}
