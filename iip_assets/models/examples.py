"""What each model learns from and is judged on, and nothing else that is known of the images.

Narrow on purpose: a corrected age or a batch without labels leaves these tables as they are, and
then no model is trained again.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.engine.values import Skipped
from iip_assets.metrics.names import FILTER_CLASSES

LEAST_LABELLED, LEAST_MASKED = 10, 8
"""Fewer labelled training images train no filter, fewer masked ones no segmenter."""


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


def held_out_rows(images: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `split`, `label` and (if valid) `mask_id` of validation and test images."""
    return (
        splits.filter(pl.col("split") != "train")
        .select("image_id", "split", "has_mask")
        .join(images.select("image_id", "label", "mask_id"), on="image_id")
        .with_columns(mask_id=pl.when("has_mask").then("mask_id"))
        .select("image_id", "split", "label", "mask_id")
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


def reason_for_no_filter(images: pl.DataFrame) -> str | None:
    """Why these images train no filter, or None if they do."""
    labels = images.filter(pl.col("split") == "train")["label"]
    if labels.is_empty():
        return "no training image has a label of full, partial or none"
    if labels.n_unique() < 2:
        return f"all {labels.len()} labelled training images are {labels[0]!r}; two words at least"
    if labels.len() < LEAST_LABELLED:
        return f"only {labels.len()} training images have a label; {LEAST_LABELLED} at least"
    return None


def reason_for_no_segmenter(rows: pl.DataFrame, classes: Sequence[str]) -> str | None:
    """Why these images train no segmenter, or None if they do."""
    if len(classes) < 2:
        return f"dataset.mask_classes names {len(classes)} class; a segmenter needs two at least"
    count = rows.filter(pl.col("split") == "train").height
    if not count:
        return "no training image has a mask"
    if count < LEAST_MASKED:
        return f"only {count} training images have a mask; {LEAST_MASKED} at least"
    return None
