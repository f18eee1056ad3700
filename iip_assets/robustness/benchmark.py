"""The robustness table: each model's metrics by corruption, severity and group."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from iip_assets.evaluation.evaluation import Judgement
from iip_assets.inference.filter_scores import scores_table
from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import (
    Scored,
    ScoredPredictions,
    by_slice,
)
from iip_assets.models.answers import scored_filter, scored_segmenter
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.robustness.corrupted_rows import variants

METRICS = {FILTER.name: ("accuracy", FILTER.headline), SEGMENTER.name: (SEGMENTER.headline,)}
"""What is followed over the severities."""

_SCHEMA = {
    "model": pl.String(),
    "corruption": pl.String(),
    "severity": pl.Int64(),
    "axis": pl.String(),
    "slice": pl.String(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "relative_drop": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
}
_KEY = ("model", "corruption", "axis", "slice", "metric", "severity")


def benchmark_images(
    images: pl.DataFrame, splits: pl.DataFrame, *, most: int, seed: int
) -> pl.DataFrame:
    """`image_id`, `mask_id`, `label`, `group_id` of at most so many test chosen.

    Images with both a label and a mask come first; among equals a salted hash decides, so that
    a new batch moves few of them.
    """
    usable = pl.col("label").is_in(FILTER_CLASSES).fill_null(value=False)
    chosen = (
        splits.filter(pl.col("split") == "test")
        .select("image_id", "group_id", "has_mask")
        .join(images.select("image_id", "label", "mask_id"), on="image_id")
        .with_columns(
            label=pl.when(usable).then("label"), mask_id=pl.when("has_mask").then("mask_id")
        )
    )
    known = pl.col("label").is_not_null().cast(pl.Int8) + pl.col("mask_id").is_not_null()
    order = [hashlib.sha256(f"{seed}:{one}".encode()).hexdigest() for one in chosen["image_id"]]
    return (
        chosen.with_columns(known=known, order=pl.Series(order, dtype=pl.String))
        .filter(pl.col("known") > 0)
        .sort(["known", "order"], descending=[True, False])
        .head(most)
        .select("image_id", "mask_id", "label", "group_id")
        .sort("image_id")
    )


def benchmark_table(
    images: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    corruptions: Sequence[str],
    mask_classes: Sequence[str],
    judgement: Judgement,
) -> pl.DataFrame:
    """One row for each model, corruption, severity, slice and metric, sorted by these.

    Severity 0 is the clean image, told under each corruption; `relative_drop` is what was lost
    of the clean value.

    Args:
        images: `image_id`, `label`, `group_id`, and `probabilities` and `confusions` as
            `corrupted_chunk` gives them.
        slices: `image_id`, `axis`, `slice`.
        corruptions: Names, as given to `corrupted_chunk`.
        mask_classes: Names of the mask's classes.
        judgement: How intervals are made.
    """
    rows: list[tuple[object, ...]] = []
    order = variants(corruptions)
    for model in METRICS:
        scored = [
            by_slice(
                judged,
                slices,
                resamples=judgement.resamples,
                confidence=judgement.confidence,
                seed=judgement.seed,
            )
            for judged in _judged(model, images, len(order), mask_classes)
        ]
        if not scored:
            continue
        clean = {(axis, name): one for axis, name, one in scored[0]}
        places = [(place, *variant) for place, variant in enumerate(order[1:], start=1)]
        places += [(0, name, 0) for name in corruptions]
        for place, corruption, severity in places:
            for axis, name, one in scored[place]:
                rows += [
                    (model, corruption, severity, axis, name, metric, *numbers)
                    for metric, numbers in _numbers(model, one, clean[axis, name])
                ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort(_KEY)


def _numbers(
    model: str, scored: Scored, clean: Scored
) -> list[tuple[str, tuple[float | int | None, ...]]]:
    numbers: list[tuple[str, tuple[float | int | None, ...]]] = []
    for metric in METRICS[model]:
        one, before = scored.estimates[metric], clean.estimates[metric].value
        drop = None if one.value is None or not before else 1 - one.value / before
        numbers.append(
            (metric, (one.value, one.low, one.high, drop, scored.n_images, scored.n_subjects))
        )
    return numbers


def _judged(
    model: str, images: pl.DataFrame, count: int, mask_classes: Sequence[str]
) -> list[ScoredPredictions]:
    """What the model said under each variant; nothing where there is no such model or truth."""
    column = "probabilities" if model == FILTER.name else "confusions"
    known = images.filter(pl.col(column).is_not_null())
    if model == FILTER.name:
        known = known.filter(pl.col("label").is_not_null())
    if known.is_empty():
        return []
    ids = known["image_id"].to_list()
    truth = known.select("image_id", "group_id", "label")
    said = np.array(known[column].to_list(), dtype=np.float64).reshape(len(ids), count, -1)
    if model == FILTER.name:
        return [
            scored_filter(
                truth.join(
                    scores_table(ids, said[:, variant]), on="image_id", maintain_order="left"
                )
            )
            for variant in range(count)
        ]
    return [
        scored_segmenter(truth.with_columns(confusion=said[:, variant]), mask_classes)
        for variant in range(count)
    ]
