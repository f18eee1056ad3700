"""What each model learns from and is judged on, and nothing else that is known of the images.

Narrow on purpose: a corrected age or a batch without labels leaves these tables as they are, and
then no model is trained again.
"""

from __future__ import annotations

import polars as pl

from iip_assets.engine.values import Skipped
from iip_assets.metrics.names import FILTER_CLASSES


def labelled_images(
    images: pl.DataFrame, splits: pl.DataFrame, embeddings: pl.DataFrame
) -> pl.DataFrame:
    """`image_id`, `split`, `group_id`, `label`, `embedding` of what the filter can learn from."""
    return (
        splits.select("image_id", "split", "group_id")
        .join(images.select("image_id", "label"), on="image_id")
        .filter(pl.col("label").is_in(FILTER_CLASSES))
        .join(embeddings, on="image_id")
        .sort("image_id")
    )


def masked_rows(images: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `mask_id`, `split`, `group_id` of the images with a valid mask.

    An image labelled `unclear` trains nothing and chooses nothing, mask or not.
    """
    return (
        splits.filter("has_mask")
        .select("image_id", "split", "group_id")
        .join(images.select("image_id", "mask_id", "label"), on="image_id")
        .filter(pl.col("mask_id").is_not_null() & pl.col("label").ne_missing("unclear"))
        .select("image_id", "mask_id", "split", "group_id")
        .sort("image_id")
    )


def with_weights(images: pl.DataFrame, training_set: pl.DataFrame | Skipped) -> pl.DataFrame:
    """The images with `weight`, what each counts in training; 1 where nothing was balanced.

    A training image that counts nothing, since it is too old, is left out.
    """
    if isinstance(training_set, Skipped):
        return images.with_columns(weight=pl.lit(1.0))
    weighted = images.join(
        training_set.select("image_id", "weight"), on="image_id", how="left", maintain_order="left"
    ).with_columns(pl.col("weight").fill_null(1.0))
    return weighted.filter((pl.col("split") != "train") | (pl.col("weight") > 0))
