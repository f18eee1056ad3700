"""Which held-out images are explained: the hardest, to look at, and a sample, for numbers.

Numbers about the hardest alone would say how these were chosen. The sample holds right and wrong
predictions in equal number as far as there are any, since most predictions are right.
"""

from __future__ import annotations

import hashlib

import polars as pl

from iip_assets.audit.hardest import (
    held_out,
    iou_column,
    judged_by_filter,
    lowest_iou,
    surest_errors,
)

RIGHT_IOU = 0.5
"""From this IoU on a class counts as found, as boxes do (Everingham et al. 2010, PASCAL VOC)."""

CHOSEN = {
    "image_id": pl.String(),
    "mask_id": pl.String(),
    "group_id": pl.String(),
    "label": pl.String(),
    "said": pl.String(),
    "confidence": pl.Float64(),
    "iou": pl.Float64(),
    "right": pl.Boolean(),
    "rank": pl.Int64(),
    "sampled": pl.Boolean(),
}
"""`rank` is 1 for the hardest and null for what is only sampled."""


def filter_images(
    predictions: pl.DataFrame, about: pl.DataFrame, *, hardest: int, sample: int, seed: int
) -> pl.DataFrame:
    """The filter's surest errors, and a sample of its right and of its wrong words.

    Args:
        predictions: The asset's table.
        about: `image_id`, `mask_id`, `group_id` of all held-out images.
        hardest: At most so many errors.
        sample: At most so many right and so many wrong ones; those with a mask come first.
        seed: Of the sample.
    """
    judged = judged_by_filter(predictions)
    if judged.is_empty():
        return pl.DataFrame(schema=CHOSEN)
    judged = judged.with_columns(said="predicted", iou=pl.lit(None, pl.Float64))
    worst = surest_errors(predictions, most=hardest)["image_id"].to_list()
    return _chosen(judged, worst, about, sample=sample, seed=seed)


def segmenter_images(
    predictions: pl.DataFrame, about: pl.DataFrame, *, hardest: int, sample: int, seed: int
) -> pl.DataFrame:
    """The segmenter's lowest IoU, and a sample of what is right, from `RIGHT_IOU` on, and wrong.

    `said` is the class that is looked at. For the arguments see `filter_images`.
    """
    rows = held_out(predictions)
    column = iou_column(rows)
    if column is None:
        return pl.DataFrame(schema=CHOSEN)
    judged = rows.drop_nulls(column).with_columns(
        said=pl.lit(column.removeprefix("iou_")),
        confidence=pl.lit(None, pl.Float64),
        iou=pl.col(column),
        right=pl.col(column) >= RIGHT_IOU,
    )
    worst = lowest_iou(predictions, most=hardest)["image_id"].to_list()
    return _chosen(judged, worst, about, sample=sample, seed=seed)


def _chosen(
    judged: pl.DataFrame, worst: list[str], about: pl.DataFrame, *, sample: int, seed: int
) -> pl.DataFrame:
    ranks = pl.DataFrame(
        {"image_id": worst, "rank": range(1, len(worst) + 1)},
        schema={"image_id": pl.String, "rank": pl.Int64},
    )
    rows = judged.join(about, on="image_id").join(ranks, on="image_id", how="left")
    # A salted hash, so that a new batch moves few of them; one image of each subject, then more,
    # as many subjects say more than many images.
    order = [hashlib.sha256(f"{seed}:{one}".encode()).hexdigest() for one in rows["image_id"]]
    return (
        rows.with_columns(order=pl.Series(order, dtype=pl.String))
        .with_columns(nth=pl.col("order").rank("ordinal").over("right", "group_id"))
        .sort(pl.col("mask_id").is_null(), "nth", "order")
        .with_columns(sampled=pl.int_range(pl.len()).over("right") < sample)
        .filter(pl.col("sampled") | pl.col("rank").is_not_null())
        .select(pl.col(name).cast(dtype) for name, dtype in CHOSEN.items())
        .sort("image_id")
    )
