"""Two states' models on the test images that both have: the difference that tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from iip_assets.metrics.intervals import Estimate
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    score_difference,
    scored_filter,
    scored_segmenter,
)
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.settings import EvaluationSettings


@dataclass(frozen=True)
class Predicted:
    """What a state's models said of its held-out images.

    Attributes:
        predictions: The asset.
        images: The table of `raw_dataset`.
        splits: The asset `data_splits`.
    """

    predictions: pl.DataFrame
    images: pl.DataFrame
    splits: pl.DataFrame


@dataclass(frozen=True)
class Common:
    """A model's metrics on images that both states test it on.

    Attributes:
        images: How many images.
        subjects: How many groups of images that belong together.
        differences: Later minus earlier, by metric, with the paired interval.
    """

    images: int
    subjects: int
    differences: Mapping[str, Estimate]


def compare_common(
    before: Predicted,
    after: Predicted,
    *,
    mask_classes: Sequence[str],
    judgement: EvaluationSettings,
) -> dict[str, Common]:
    """By model, what both states' versions of it are worth on the test images of both.

    Truth is that of the later state, for both. Images whose mask differs are left out for the
    segmenter: how the earlier one would do on the later mask was not recorded. So are counts of
    another number of mask classes.
    """
    both = (
        _tested(before)
        .join(_tested(after), on="image_id", suffix="_after")
        .join(after.splits.select("image_id", "group_id"), on="image_id")
        .sort("image_id")
    )
    pairs = {FILTER.name: _filters(both), SEGMENTER.name: _segmenters(both, mask_classes)}
    found = {}
    for model, pair in pairs.items():
        if pair is None:
            continue
        scored = score_difference(*pair, np.arange(len(pair[0].image_ids)), judgement)
        found[model] = Common(scored.n_images, scored.n_subjects, scored.estimates)
    return found


def _tested(state: Predicted) -> pl.DataFrame:
    return (
        state.predictions.filter(pl.col("split") == "test")
        .drop("label")
        .join(state.images.select("image_id", "label", "mask_id"), on="image_id")
    )


def _filters(both: pl.DataFrame) -> tuple[ScoredPredictions, ScoredPredictions] | None:
    named = both.filter(
        pl.col("label_after").is_in(FILTER_CLASSES)
        & pl.col("predicted").is_not_null()
        & pl.col("predicted_after").is_not_null()
    )
    if named.is_empty():
        return None
    one, other = (scored_filter(named, truth="label_after", end=end) for end in ("", "_after"))
    return one, other


def _segmenters(
    both: pl.DataFrame, classes: Sequence[str]
) -> tuple[ScoredPredictions, ScoredPredictions] | None:
    columns = ("confusion", "confusion_after")
    masked = both.filter(
        *(pl.col(column).list.len() == len(classes) ** 2 for column in columns),
        pl.col("mask_id") == pl.col("mask_id_after"),
    )
    if masked.is_empty():
        return None
    one, other = (scored_segmenter(masked, classes, confusion=column) for column in columns)
    return one, other
