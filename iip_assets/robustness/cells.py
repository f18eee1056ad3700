"""How a model holds under each corruption for each group, alone and beside a fixed model.

A cell is a corruption and a group of images; its value is the mean of a metric over severities.
Beside a fixed model it has the corruption error of Hendrycks and Dietterich (2019): the errors
(1 - metric) summed over severities, over those of the fixed model on the same images. Its mean over
corruptions is their mCE; below 1 the model holds better than the fixed one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.intervals import (
    Intervals,
    estimate,
    estimate_difference,
    judgeable,
    replicates,
)
from iip_assets.metrics.scored_predictions import (
    JUDGED,
    Indices,
    ScoredPredictions,
    places_by_slice,
    resting_on,
)
from iip_assets.robustness.benchmark import CLEAN, METRICS, scored_answers, variants

Answers = Mapping[str, pl.DataFrame]
Floats = NDArray[np.float64]

MEAN = "mean"
"""Stands for all corruptions, where one is named."""
_NAMES = ("model", "corruption", "axis", "slice", "metric")
_SCHEMA = {
    **dict.fromkeys(_NAMES, pl.String()),
    "clean": pl.Float64(),
    **dict.fromkeys(("ce", "ce_low", "ce_high"), pl.Float64()),
    **JUDGED,
}


def cells_table(
    images: pl.DataFrame,
    answers: Mapping[str, Answers],
    baselines: Mapping[str, Answers],
    slices: pl.DataFrame,
    *,
    mask_classes: Sequence[str],
    intervals: Intervals,
    least_images: int,
) -> pl.DataFrame:
    """One row for each model, corruption (and their mean), and slice; the metric is the first.

    `ce` with its ends is the corruption error, null without a fixed model or where that makes no
    error. `enough` says whether the slice can be judged.

    Args:
        images: `image_id`, `label`, `group_id`.
        answers: Of each model, as `models_answers` gives them.
        baselines: Likewise of fixed models, by the same names.
        slices: `image_id`, `axis`, `slice`.
        mask_classes: Names of the mask's classes.
        intervals: How they are drawn.
        least_images: Fewer are too few to judge.
    """
    rows: list[dict[str, object]] = []
    for model, found in answers.items():
        metric = METRICS[model][0]
        scored, fixed = (
            _scored(model, images, one, mask_classes) for one in (found, baselines.get(model, {}))
        )
        if not scored:
            continue
        first = scored[CLEAN][0]
        for axis, name, places in places_by_slice(first.image_ids, slices):
            groups = [first.groups[place] for place in places]
            made = replicates(groups, intervals)
            clean = _mean(scored[CLEAN], metric, places, made.weights)
            subjects = resting_on(first.score(places, made.weights), made)[metric]
            means = {
                corruption: _mean(predictions, metric, places, made.weights)
                for corruption, predictions in scored.items()
                if corruption != CLEAN
            }
            errors = {
                corruption: _error_ratio(
                    one, _mean(fixed[corruption], metric, places, made.weights)
                )
                for corruption, one in means.items()
                if corruption in fixed
            }
            if means:
                means[MEAN] = np.mean([*means.values()], axis=0)
            if errors:
                errors[MEAN] = np.mean([*errors.values()], axis=0)
            for corruption, values in means.items():
                one = estimate(
                    values, made.sizes, confidence=intervals.confidence, subjects=subjects
                )
                rows.append(
                    dict(zip(_NAMES, (model, corruption, axis, name, metric), strict=True))
                    | {
                        "clean": None if np.isnan(clean[0]) else float(clean[0]),
                        **_ratio(errors.get(corruption), made.sizes, intervals, subjects),
                        **{"value": one.value, "low": one.low, "high": one.high},
                        **{"n_images": len(groups), "n_subjects": len(set(groups))},
                        "enough": judgeable(len(groups), len(set(groups)), least_images),
                    }
                )
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort(_NAMES)


def worst_cells(cells: pl.DataFrame, most: int) -> pl.DataFrame:
    """The cells of groups with the largest loss of the clean value, of those that can be judged."""
    groups = cells.filter((pl.col("axis") != "overall") & (pl.col("corruption") != MEAN) & "enough")
    lost = groups.with_columns(loss=pl.col("clean") - pl.col("value")).drop_nulls("loss")
    return lost.sort(["loss", *_NAMES], descending=[True, *[False] * len(_NAMES)]).head(most)


def _scored(
    model: str, images: pl.DataFrame, answers: Answers, mask_classes: Sequence[str]
) -> dict[str, list[ScoredPredictions]]:
    """By corruption, what the model said at each severity."""
    severities = variants(answers)
    found = {
        name: [
            one for _, one in scored_answers(model, images, frame, severities[name], mask_classes)
        ]
        for name, frame in answers.items()
    }
    return {name: predictions for name, predictions in found.items() if predictions}


def _mean(
    predictions: Sequence[ScoredPredictions], metric: str, places: Indices, weights: Floats
) -> Floats:
    """The metric under the weights, (1 + 2 G,), as its mean over severities."""
    return np.asarray(np.mean([one.score(places, weights)[metric] for one in predictions], axis=0))


def _error_ratio(values: Floats, fixed: Floats) -> Floats:
    """The model's error over that of the fixed model; NaN where that makes none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = (1 - values) / (1 - fixed)
    return np.where((ratio >= 0) & np.isfinite(ratio), ratio, np.nan)


def _ratio(
    ratios: Floats | None, sizes: Floats, intervals: Intervals, subjects: float | None
) -> dict[str, float | None]:
    if ratios is None or np.isnan(ratios[0]):
        return {}
    logs = np.log(np.where(ratios > 0, ratios, np.nan))
    found = estimate_difference(logs, sizes, confidence=intervals.confidence, subjects=subjects)
    ends = {"ce_low": found.low, "ce_high": found.high}
    return {
        "ce": float(ratios[0]),
        **{name: None if one is None else float(np.exp(one)) for name, one in ends.items()},
    }
