"""Which images are compared: the newest batch, against the training data of older ones."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from iip_assets.engine.values import Skipped


@dataclass(frozen=True)
class Sides:
    """The two sides of the comparison.

    Attributes:
        batch: Name of the newest batch.
        reference: Rows of raw_dataset's images: training split, older batches.
        current: Rows of raw_dataset's images: the newest batch, all splits.
    """

    batch: str
    reference: pl.DataFrame
    current: pl.DataFrame


def newest_against_training(images: pl.DataFrame, splits: pl.DataFrame) -> Sides | Skipped:
    """Sets the newest batch, by name, against the training images of all others.

    Images of no batch count as older ones. Images without a split could not be decoded and take no
    part.

    Args:
        images: The table "images" of raw_dataset.
        splits: data_splits.

    Returns:
        The two sides, or why there are not two.
    """
    known = images.join(splits.select("image_id", "split"), on="image_id", how="inner").sort(
        "image_id"
    )
    batches = known["batch"].drop_nulls().unique().sort()
    if batches.is_empty():
        return Skipped("drift compares the newest batch with older ones; no image is in a batch")
    newest = str(batches[-1])
    is_newest = (pl.col("batch") == newest).fill_null(value=False)
    reference = known.filter(~is_newest & (pl.col("split") == "train"))
    if reference.is_empty():
        return Skipped(
            "drift compares the newest batch with training images of older ones; there are none "
            f"beside {newest}"
        )
    return Sides(newest, reference, known.filter(is_newest))
