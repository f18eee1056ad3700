"""Is what is seen also marked: by device, batch and labeler, and what that does to a class's IoU.

Where some labelers mark a class and others leave it out, no model can do right by both. How far
the truth disagrees with itself is a ceiling for the model's IoU; the labeling instructions are the
place to settle it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from iip_assets.labels.label_errors import ABLE, agreement
from iip_assets.metrics.intervals import judgeable
from iip_assets.metrics.names import OVERALL
from iip_assets.metrics.scored_predictions import (
    Floats,
    Indices,
    ScoredPredictions,
    places_by_slice,
    score,
)
from iip_assets.settings import EvaluationSettings

AXES = ("device", "batch", "labeler")
_NUMBERS = {
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
    "enough": pl.Boolean(),
}
MARKED = {
    "class": pl.String(),
    "axis": pl.String(),
    "slice": pl.String(),
    **_NUMBERS,
    "marked_share": pl.Float64(),
}
CEILING = {"class": pl.String(), **_NUMBERS}

# A class is seen where it is as visible as in nine of ten images in which it is marked.
_VISIBLE_SHARE = 0.1


def visible_from(scores: pl.DataFrame, index: int) -> float | None:
    """From how much on, in pixels, a class counts as seen.

    None where it is never marked, or where the segmenters see too little of it to tell.
    """
    if scores.is_empty() or agreement(scores)[index] < ABLE:
        return None
    marked = scores.filter(pl.col("given").list.get(index) > 0)
    visible = marked.select(pl.col("visible").list.get(index)).to_series()
    return None if visible.is_empty() else visible.quantile(_VISIBLE_SHARE, "linear")


def marked_where_seen(
    scores: pl.DataFrame,
    images: pl.DataFrame,
    classes: Sequence[str],
    eye: Sequence[int],
    *,
    evaluation: EvaluationSettings,
) -> pl.DataFrame:
    """In what share of the images in which a class is seen it is marked, in `MARKED`.

    Beside it `marked_share`, of all images with a part of an eye marked: what segmenters learned
    not to see, since it is seldom marked in such images, shows there alone.

    Args:
        scores: The table of mask_scores.
        images: image_id and, where known, device, batch and labeler.
        classes: Of the masks.
        eye: The indices of the classes that are parts of an eye.
        evaluation: How intervals are made, and the fewest images of a slice.
    """
    rows = []
    slices = images.select("image_id", *(pl.col(axis).fill_null("unknown") for axis in AXES))
    long = slices.unpivot(AXES, index="image_id", variable_name="axis", value_name="slice")
    eyes = scores.filter(pl.sum_horizontal(pl.col("given").list.get(k) for k in eye) > 0)
    for index in eye:
        threshold = visible_from(scores, index)
        if threshold is None:
            continue
        seen = scores.filter(pl.col("visible").list.get(index) >= threshold)
        marked = (seen["given"].list.get(index) > 0).to_numpy().astype(np.float64)
        share = _share(seen, marked, np.ones(seen.height))
        for axis, name, places in places_by_slice(share.image_ids, long):
            found = _estimate(share, places, evaluation)
            own = long.filter(axis=axis, slice=name).select("image_id")
            here = eyes if axis == OVERALL else eyes.join(own, on="image_id", how="semi")
            marked_here = float((here["given"].list.get(index) > 0).to_numpy().mean())
            rows.append((classes[index], axis, name, *found, marked_here))
    return pl.DataFrame(rows, schema=MARKED, orient="row")


def ceilings(
    scores: pl.DataFrame,
    classes: Sequence[str],
    eye: Sequence[int],
    *,
    evaluation: EvaluationSettings,
) -> pl.DataFrame:
    """The highest IoU of each class that the marking allows, in `CEILING`.

    It is that of a model which marks the class wherever it is seen, and pixel for pixel as it is
    given where it is given.
    """
    rows = []
    everything = np.arange(scores.height)
    for index in eye:
        threshold = visible_from(scores, index)
        if threshold is None:
            continue
        given = scores["given"].list.get(index).to_numpy().astype(np.float64)
        visible = scores["visible"].list.get(index).to_numpy()
        unmarked = np.where((given == 0) & (visible >= threshold), visible, 0.0)
        share = _share(scores, given, given + unmarked)
        rows.append((classes[index], *_estimate(share, everything, evaluation)))
    return pl.DataFrame(rows, schema=CEILING, orient="row")


def _share(table: pl.DataFrame, part: Floats, whole: Floats) -> ScoredPredictions:
    """The share of the whole, as a metric of images."""

    def of(places: Indices, weights: Floats) -> dict[str, Floats]:
        sums = weights @ whole[places]
        nothing = np.full(len(weights), np.nan)
        return {"share": np.divide(weights @ part[places], sums, out=nothing, where=sums > 0)}

    return ScoredPredictions(table["image_id"].to_list(), table["group_id"].to_list(), of)


def _estimate(
    share: ScoredPredictions, places: Indices, evaluation: EvaluationSettings
) -> tuple[float | None, float | None, float | None, int, int, bool]:
    found = score(share, places, evaluation)
    one = found.estimates["share"]
    enough = judgeable(found.n_images, found.n_subjects, evaluation.min_slice_images)
    return one.value, one.low, one.high, found.n_images, found.n_subjects, enough
