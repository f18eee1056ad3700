"""How much there is of each class to learn from and to be judged on, beside how well it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from iip_assets.metrics.intervals import LEAST_SUBJECTS
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS
from iip_assets.settings import RareClassSettings

CLASSES = {
    "model": pl.String(),
    "class": pl.String(),
    "train_images": pl.Int64(),
    "train_subjects": pl.Int64(),
    "train_share": pl.Float64(),
    "train_pixel_share": pl.Float64(),
    "rare": pl.Boolean(),
    "test_images": pl.Int64(),
    "test_subjects": pl.Int64(),
    "enough": pl.Boolean(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
}


def classes_to_learn(
    training: pl.DataFrame, masked: pl.DataFrame, pixels: pl.DataFrame, classes: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """By model: which classes stand in the training images, and in those with a valid mask.

    From images with `group_id` and `label` or `mask_id`, and what `count_pixels` gives of the
    masks: image_id, group_id, class, pixels (null for the filter), a row an image and class.
    """
    counts: dict[str, list[int]] = (
        dict(pixels.select("mask_id", "pixels").iter_rows()) if pixels.height else {}
    )
    return {
        FILTER.name: _labelled(training),
        SEGMENTER.name: _in_masks(masked, [counts[one] for one in masked["mask_id"]], classes),
    }


def classes_to_judge(
    predictions: pl.DataFrame, groups: pl.DataFrame, classes: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """By model, as `classes_to_learn`: which stand in the test images that it said something of."""
    test = predictions.filter(pl.col("split") == "test").join(groups, on="image_id")
    masked = test.filter(pl.col("confusion").is_not_null())
    size = len(classes)
    counts = np.array(masked["confusion"].to_list(), dtype=np.int64).reshape(-1, size, size)
    return {
        FILTER.name: _labelled(test.filter(pl.col("predicted").is_not_null())),
        SEGMENTER.name: _in_masks(masked, counts.sum(2).tolist(), classes),
    }


def _labelled(images: pl.DataFrame) -> pl.DataFrame:
    return images.filter(pl.col("label").is_in(FILTER_CLASSES)).select(
        "image_id", "group_id", pl.col("label").alias("class"), pixels=pl.lit(None, pl.Int64)
    )


def _in_masks(
    images: pl.DataFrame, counts: Sequence[Sequence[int]], classes: Sequence[str]
) -> pl.DataFrame:
    """The classes of which each image's mask has pixels, by (N, K) counts."""
    names = images.select("image_id", "group_id").rows()
    rows = [
        (*name, one, count)
        for name, row in zip(names, counts, strict=True)
        for one, count in zip(classes, row, strict=True)
        if count
    ]
    words = dict.fromkeys(("image_id", "group_id", "class"), pl.String())
    return pl.DataFrame(rows, schema={**words, "pixels": pl.Int64()}, orient="row")


def class_table(
    metrics: pl.DataFrame,
    trained: Mapping[str, pl.DataFrame],
    tested: Mapping[str, pl.DataFrame],
    *,
    mask_classes: Sequence[str],
    rarity: RareClassSettings,
) -> pl.DataFrame:
    """One row a class of each model that was judged, with the metric's interval over subjects.

    A class is `enough` to be judged from `LEAST_SUBJECTS` test subjects on. One that stands in no
    test image has no value.

    Args:
        metrics: The table `metrics` of the evaluation.
        trained: By model: which classes stand in which training images.
        tested: By model: in which test images.
        mask_classes: Names of the mask's classes.
        rarity: When a class is rare: in few of the training images, or in those of few subjects.
            Liu et al. (2019, arXiv:1904.05160) call a class with fewer than 20 training images
            few-shot; here it is subjects, as images of one person resemble each other.

    Returns:
        Columns as in `CLASSES`. train_share is of the training images that have any class of the
        model, train_pixel_share of their labelled pixels.
    """
    overall = {
        (row["model"], row["metric"]): row
        for row in metrics.filter(pl.col("axis") == "overall").iter_rows(named=True)
    }
    rows: list[dict[str, Any]] = []
    for model, task in TASKS.items():
        if not any(name == model for name, _ in overall):
            continue
        for name in task.classes(mask_classes):
            metric = f"{task.class_metric}_{name}"
            to_learn, to_judge = _learned(trained[model], name), _tested(tested[model], name)
            found = overall[model, metric] if to_judge["test_images"] else {}
            rows.append(
                {
                    "model": model,
                    "class": name,
                    **to_learn,
                    "rare": to_learn["train_subjects"] < rarity.min_subjects
                    or to_learn["train_share"] < rarity.min_share,
                    **to_judge,
                    "metric": metric,
                    **{end: found.get(end) for end in ("value", "low", "high")},
                }
            )
    return pl.DataFrame(rows, schema=CLASSES)


def _learned(trained: pl.DataFrame, name: str) -> dict[str, Any]:
    has = trained.filter(pl.col("class") == name)
    images, pixels = trained["image_id"].n_unique(), int(trained["pixels"].sum())
    return {
        "train_images": has.height,
        "train_subjects": has["group_id"].n_unique(),
        "train_share": has.height / images if images else 0.0,
        "train_pixel_share": int(has["pixels"].sum()) / pixels if pixels else None,
    }


def _tested(tested: pl.DataFrame, name: str) -> dict[str, Any]:
    has = tested.filter(pl.col("class") == name)
    subjects = has["group_id"].n_unique()
    return {
        "test_images": has.height,
        "test_subjects": subjects,
        "enough": subjects >= LEAST_SUBJECTS,
    }
