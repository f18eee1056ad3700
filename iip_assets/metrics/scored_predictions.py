"""Predictions on images whose truth is known, in the one form that is scored, by slice and paired.

Whoever judges a model, for a card, a report, a gate or a comparison, begins here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.intervals import (
    Estimate,
    Intervals,
    Replicates,
    chance_above,
    estimate,
    estimate_difference,
    replicates,
)
from iip_assets.metrics.names import FILTER_CLASSES, OVERALL
from iip_assets.metrics.scores import (
    Gate,
    filter_scores,
    gate_scores,
    segmenter_scores,
    subjects_behind,
)

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

JUDGED = {
    **dict.fromkeys(("value", "low", "high"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
    "enough": pl.Boolean(),
}
"""The columns of a metric in tables that say how large it is, and whether that can be judged."""


@dataclass(frozen=True)
class ScoredPredictions:
    """Images, their groups, and a function that scores the predictions under weights.

    Attributes:
        image_ids: (N,) of the images.
        groups: (N,) the subject of each, or the group of images that belong together.
        score: Places (n,) of some of the images and weights (R, n) to metrics by name, (R,) each.
        largest: The largest value of metrics for which that is not 1.
    """

    image_ids: Sequence[str]
    groups: Sequence[str]
    score: Callable[[Indices, Floats], dict[str, Floats]]
    largest: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """Metrics of some images.

    Attributes:
        estimates: By metric.
        n_images: How many images.
        n_subjects: How many groups they form.
    """

    estimates: dict[str, Estimate]
    n_images: int
    n_subjects: int


@dataclass(frozen=True)
class Passing:
    """What the filter lets pass.

    Attributes:
        scores: (N,) its probability that an image is usable.
        passes: (N,) whether that reaches the threshold.
        gate: Which classes are usable, and what errors cost.
    """

    scores: Floats
    passes: NDArray[np.bool_]
    gate: Gate


def scored_probabilities(
    image_ids: Sequence[str],
    groups: Sequence[str],
    actual: Indices,
    probabilities: Floats,
    classes: Sequence[str],
    *,
    passing: Passing | None = None,
) -> ScoredPredictions:
    """Probabilities (N, K) against classes (N,), and what the filter lets pass, if known."""

    def score(places: Indices, weights: Floats) -> dict[str, Floats]:
        found = filter_scores(actual[places], probabilities[places], weights, classes)
        if passing is None:
            return found
        usable = np.isin(actual, [classes.index(name) for name in passing.gate.usable])
        scores = (usable[places], passing.scores[places], passing.passes[places])
        return found | gate_scores(*scores, weights, passing.gate)

    largest = {} if passing is None else {"cost": passing.gate.largest_cost}
    return ScoredPredictions(image_ids, groups, score, largest)


def scored_counts(
    image_ids: Sequence[str],
    groups: Sequence[str],
    pixel_counts: Floats,
    classes: Sequence[str],
    *,
    boundary: Floats | None = None,
) -> ScoredPredictions:
    """Confusion counts of pixels (N, K, K), and border counts (N, K, 4) if known."""

    def score(places: Indices, weights: Floats) -> dict[str, Floats]:
        borders = None if boundary is None else boundary[places]
        return segmenter_scores(pixel_counts[places], weights, classes, borders)

    return ScoredPredictions(image_ids, groups, score)


def scored_filter(
    table: pl.DataFrame, *, truth: str = "label", end: str = "", passing: Passing | None = None
) -> ScoredPredictions:
    """The filter's probabilities, in the columns `prob_<class><end>`, against those of the truth.

    The table also has `image_id` and `group_id`; what the filter lets pass is scored too, if given.
    """
    shares = table.select(f"prob_{name}{end}" for name in FILTER_CLASSES).to_numpy()
    return scored_probabilities(
        table["image_id"].to_list(),
        table["group_id"].to_list(),
        class_places(table[truth]),
        shares.astype(np.float64),
        FILTER_CLASSES,
        passing=passing,
    )


def scored_segmenter(
    table: pl.DataFrame,
    classes: Sequence[str],
    *,
    confusion: str = "confusion",
    boundary: str | None = None,
) -> ScoredPredictions:
    """The segmenter's counts on images with a mask, from lists of them in columns of these names.

    The table also has `image_id` and `group_id`. Pixel counts are (K, K), border counts (K, 4).
    """
    size = len(classes)
    return scored_counts(
        table["image_id"].to_list(),
        table["group_id"].to_list(),
        counts_of(table[confusion], size, size),
        classes,
        boundary=None if boundary is None else counts_of(table[boundary], size, 4),
    )


def passing_of(table: pl.DataFrame, gate: Gate) -> Passing:
    """What the filter lets pass, from the columns `usable_score` and `passes`."""
    return Passing(table["usable_score"].to_numpy(), table["passes"].to_numpy(), gate)


def passing_from(table: pl.DataFrame, gate: Gate, *, threshold: float) -> Passing:
    """What the filter lets pass from a threshold on, from the columns `prob_<class>`."""
    scores = table.select(usable_score(gate.usable)).to_series().to_numpy()
    return Passing(scores, scores >= threshold, gate)


def usable_score(usable: Sequence[str]) -> pl.Expr:
    """The filter's probability that the segmenter can do something with an image."""
    return pl.sum_horizontal(f"prob_{name}" for name in usable).cast(pl.Float64).clip(0, 1)


def counts_of(lists: pl.Series, *shape: int) -> Floats:
    """(N, *shape) counts from lists of them."""
    return np.array(lists.to_list(), dtype=np.float64).reshape(-1, *shape)


def class_places(labels: pl.Series) -> Indices:
    """(N,) the places of labels among the filter's classes."""
    return np.array([FILTER_CLASSES.index(label) for label in labels], dtype=np.int64)


def score(predictions: ScoredPredictions, places: Indices, intervals: Intervals) -> Scored:
    """Metrics with intervals of the images at `places`; of few subjects there is no interval."""
    groups = [predictions.groups[place] for place in places]
    made = replicates(groups, intervals)
    values = predictions.score(places, made.weights)
    behind = resting_on(values, made)
    estimates = {
        name: estimate(
            one,
            made.sizes,
            confidence=intervals.confidence,
            largest=predictions.largest.get(name, 1.0),
            subjects=behind[name],
        )
        for name, one in values.items()
    }
    return Scored(estimates, n_images=len(groups), n_subjects=len(set(groups)))


def by_slice(
    predictions: ScoredPredictions, slices: pl.DataFrame, intervals: Intervals
) -> list[tuple[str, str, Scored]]:
    """Axis, slice and metrics, in the order of `places_by_slice`."""
    return [
        (axis, name, score(predictions, places, intervals))
        for axis, name, places in places_by_slice(predictions.image_ids, slices)
    ]


def chance_as_good(
    predictions: ScoredPredictions, places: Indices, metric: str, intervals: Intervals
) -> float | None:
    """The p-value of the images at `places` being as good as all: small where they are worse.

    Of a one-sided t-test of their metric minus that of all images, as subjects are left out of
    both. None where there are too few subjects.
    """
    made = replicates(predictions.groups, intervals)
    everywhere = predictions.score(np.arange(len(predictions.groups)), made.weights)[metric]
    count = len(made.sizes)
    alone = made.weights[1 + count :, places]
    concerned = np.flatnonzero(alone.any(1))
    rows = np.concatenate([[0], 1 + concerned, 1 + count + concerned])
    found = predictions.score(places, made.weights[np.ix_(rows, places)])[metric]
    # Whoever is not in the slice leaves its metric as it is.
    here = np.concatenate([np.full(1 + count, found[0]), np.full(count, np.nan)])
    here[rows] = found
    subjects = min(len(concerned), int((~np.isnan(found[1 + len(concerned) :])).sum()))
    return chance_above(here - everywhere, made.sizes, bound=0, subjects=subjects)


def places_by_slice(
    image_ids: Sequence[str], slices: pl.DataFrame
) -> list[tuple[str, str, Indices]]:
    """Axis, slice and places (n,) of its images: all first, then in order of axis and name."""
    place_of = {image_id: place for place, image_id in enumerate(image_ids)}
    members: dict[tuple[str, str], list[int]] = {}
    for image_id, axis, name in slices.select("image_id", "axis", "slice").iter_rows():
        if image_id in place_of:
            members.setdefault((axis, name), []).append(place_of[image_id])
    parts = [((OVERALL, "all"), list(range(len(image_ids)))), *sorted(members.items())]
    return [
        (axis, name, np.array(sorted(places), dtype=np.int64)) for (axis, name), places in parts
    ]


def score_difference(
    before: ScoredPredictions, after: ScoredPredictions, places: Indices, intervals: Intervals
) -> Scored:
    """`after` − `before` of every metric on the same images; of few subjects without interval.

    Subjects are left out of both at once, so what a hard subject costs both of them cancels out,
    and the interval is that of the difference.
    """
    both = replicates_of_both(before, after, places, intervals)
    estimates = {
        name: estimate_difference(
            both.after[name] - both.before[name],
            both.made.sizes,
            confidence=intervals.confidence,
            subjects=both.subjects[name],
        )
        for name in both.after
    }
    groups = {before.groups[place] for place in places}
    return Scored(estimates, n_images=len(places), n_subjects=len(groups))


@dataclass(frozen=True)
class Paired:
    """Two models' metrics under the same weightings of the same images.

    Attributes:
        made: The weightings.
        before: The first model's metrics by name, (1 + 2 G,) each.
        after: The second's.
        subjects: On how many subjects each metric rests, as `estimate` takes it.
    """

    made: Replicates
    before: dict[str, Floats]
    after: dict[str, Floats]
    subjects: dict[str, float | None]


def replicates_of_both(
    before: ScoredPredictions, after: ScoredPredictions, places: Indices, intervals: Intervals
) -> Paired:
    """Both models' metrics as subjects are left out of both."""
    assert list(before.image_ids) == list(after.image_ids)
    made = replicates([before.groups[place] for place in places], intervals)
    was, is_now = before.score(places, made.weights), after.score(places, made.weights)
    return Paired(made, was, is_now, resting_on(is_now, made))


def resting_on(values: Mapping[str, Floats], made: Replicates) -> dict[str, float | None]:
    """On how many subjects each metric rests; None where it is those for whom it is defined."""
    alone = 1 + len(made.sizes)
    defined = {name: int((~np.isnan(one[alone:])).sum()) for name, one in values.items()}
    return {name: subjects_behind(name, defined) for name in values}
