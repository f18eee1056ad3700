"""Which held-out images are hardest: the segmenter's worst, the filter's surest errors."""

from __future__ import annotations

import polars as pl

from iip_assets.metrics.constants import FILTER_CLASSES


def held_out(predictions: pl.DataFrame) -> pl.DataFrame:
    """Predictions on images that no model was trained on: the test split, or else validation."""
    for split in ("test", "validation"):
        rows = predictions.filter(pl.col("split") == split)
        if rows.height:
            return rows
    return predictions.clear()


def iou_column(predictions: pl.DataFrame) -> str | None:
    """The IoU to rank by: of the iris, or else of the last class that is not background."""
    names = [
        name
        for name in predictions.columns
        if name.startswith("iou_") and name != "iou_background" and predictions[name].count()
    ]
    return "iou_iris" if "iou_iris" in names else names[-1] if names else None


def judged_by_filter(predictions: pl.DataFrame) -> pl.DataFrame:
    """Held-out rows with a label and the filter's word, with its `confidence` and if it is `right`.

    Args:
        predictions: The asset's table.
    """
    rows = held_out(predictions)
    if "predicted" not in rows.columns:
        return rows.clear().with_columns(
            confidence=pl.lit(None, pl.Float64), right=pl.lit(None, pl.Boolean)
        )
    return rows.filter(
        pl.col("label").is_in(FILTER_CLASSES) & pl.col("predicted").is_not_null()
    ).with_columns(
        confidence=pl.max_horizontal(f"prob_{name}" for name in FILTER_CLASSES),
        right=pl.col("predicted") == pl.col("label"),
    )


def surest_errors(predictions: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """Held-out rows whose label the filter contradicts, with `confidence`, the surest first."""
    wrong = judged_by_filter(predictions).filter(~pl.col("right"))
    return wrong.sort(["confidence", "image_id"], descending=[True, False]).head(most)


def lowest_iou(predictions: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """Held-out rows with the lowest IoU of `iou_column`, the lowest first."""
    rows = held_out(predictions)
    column = iou_column(rows)
    if column is None:
        return rows.clear()
    return rows.drop_nulls(column).sort(column, "image_id").head(most)
