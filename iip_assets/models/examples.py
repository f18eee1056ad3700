"""What each model learns from and is judged on, and nothing else that is known of the images.

Narrow on purpose: a corrected age or a batch without labels leaves these tables as they are, and
then no model is trained again.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.dataset.schema import CHALLENGE
from iip_assets.engine.values import Files, Skipped
from iip_assets.metrics.names import FILTER_CLASSES

LEAST_LABELLED, LEAST_MASKED = 10, 8
"""Fewer labelled training images train no filter, fewer masked ones no segmenter."""


def labelled_images(
    images: pl.DataFrame, splits: pl.DataFrame, embeddings: pl.DataFrame
) -> pl.DataFrame:
    """`image_id`, `split`, `group_id`, `label`, `embedding` of what the filter can learn from.

    No image of a challenge set is among them.
    """
    return (
        splits.select("image_id", "split", "group_id")
        .join(images.select("image_id", "label"), on="image_id")
        .filter(pl.col("label").is_in(FILTER_CLASSES) & (pl.col("split") != CHALLENGE))
        .join(embeddings, on="image_id")
        .sort("image_id")
    )


def masked_rows(images: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `mask_id`, `split`, `group_id` of the images with a valid mask.

    An image labelled `unclear`, or of a challenge set, trains nothing and chooses nothing.
    """
    return (
        splits.filter(pl.col("has_mask") & (pl.col("split") != CHALLENGE))
        .select("image_id", "split", "group_id")
        .join(images.select("image_id", "mask_id", "label"), on="image_id")
        .filter(pl.col("mask_id").is_not_null() & pl.col("label").ne_missing("unclear"))
        .select("image_id", "mask_id", "split", "group_id")
        .sort("image_id")
    )


def held_out_rows(images: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `split`, `label` and (if valid) `mask_id` of validation and test images."""
    return (
        splits.filter(pl.col("split").is_in(["validation", "test"]))
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
    """Why these labelled images train no filter, or None if they do."""
    labels = images.filter(pl.col("split") == "train")["label"]
    if labels.len() < LEAST_LABELLED:
        return (
            f"a filter needs {LEAST_LABELLED} images to train on that are labelled "
            f"{', '.join(FILTER_CLASSES[:-1])} or {FILTER_CLASSES[-1]}; it has {labels.len()}"
        )
    if labels.n_unique() < 2:
        return f"a filter needs two labels; all {labels.len()} images to train on are {labels[0]}"
    return None


def reason_for_no_segmenter(rows: pl.DataFrame, classes: Sequence[str]) -> str | None:
    """Why these images with masks train no segmenter, or None if they do."""
    if len(classes) < 2:
        return f"a segmenter needs two classes; dataset.mask_classes names {len(classes)}"
    count = rows.filter(pl.col("split") == "train").height
    if count < LEAST_MASKED:
        return f"a segmenter needs {LEAST_MASKED} images with a mask to train on; it has {count}"
    return None


def no_model(*models: Files | Skipped) -> Skipped:
    """Why there is neither model, each reason once."""
    reasons = dict.fromkeys(model.reason for model in models if isinstance(model, Skipped))
    return Skipped(f"there is no model: {'; '.join(reasons)}")


def reason_for_none_judged(images: pl.DataFrame, *splits: str) -> str:
    """Why no image of these splits can tell how good a model is, where that is so."""
    where = " or ".join(splits)
    if not images["split"].is_in(splits).any():
        return f"no image fell to {where}"
    return (
        f"no image of {where} can tell how good the models are: a filter needs its label, a "
        "segmenter an eye in its mask"
    )
