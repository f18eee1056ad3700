"""What a model said about images whose truth is known, ready to be scored by slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.intervals import Estimate, bootstrap_weights, estimate
from iip_assets.metrics.scores import Gate, filter_scores, gate_scores, segmenter_scores

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoredPredictions:
    """Images, their groups, and a function that scores them under weights.

    Attributes:
        image_ids: (N,) of the images.
        groups: (N,) the group of each, drawn whole in the bootstrap.
        score: Places (n,) of some of the images and weights (R, n) to metrics by name, (R,) each.
    """

    image_ids: Sequence[str]
    groups: Sequence[str]
    score: Callable[[NDArray[np.int64], Floats], dict[str, Floats]]


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


def judge_filter(
    image_ids: Sequence[str],
    groups: Sequence[str],
    actual: NDArray[np.int64],
    probabilities: Floats,
    classes: Sequence[str],
    *,
    passing: Passing | None = None,
) -> ScoredPredictions:
    """The filter's (N, K) probabilities against (N,) classes, and what it lets pass, if known."""

    def score(places: NDArray[np.int64], weights: Floats) -> dict[str, Floats]:
        found = filter_scores(actual[places], probabilities[places], weights, classes)
        if passing is None:
            return found
        usable = np.isin(actual, [classes.index(name) for name in passing.gate.usable])
        scores = (usable[places], passing.scores[places], passing.passes[places])
        return found | gate_scores(*scores, weights, passing.gate)

    return ScoredPredictions(image_ids, groups, score)


def judge_segmenter(
    image_ids: Sequence[str],
    groups: Sequence[str],
    pixel_counts: Floats,
    classes: Sequence[str],
    *,
    boundary: Floats | None = None,
) -> ScoredPredictions:
    """The segmenter's (N, K, K) confusion counts, and (N, K, 4) border counts if known."""

    def score(places: NDArray[np.int64], weights: Floats) -> dict[str, Floats]:
        borders = None if boundary is None else boundary[places]
        return segmenter_scores(pixel_counts[places], weights, classes, borders)

    return ScoredPredictions(image_ids, groups, score)


def score(
    judged: ScoredPredictions,
    places: NDArray[np.int64],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Scored:
    """Metrics with intervals of the images at `places`; of one subject's there is no interval."""
    groups = [judged.groups[place] for place in places]
    n_subjects = len(set(groups))
    # Drawn again, one subject is always itself: that would claim to be certain.
    resamples = resamples if n_subjects > 1 else 0
    weights = bootstrap_weights(groups, resamples=resamples, seed=seed)
    values = judged.score(places, weights)
    return Scored(
        estimates={name: estimate(drawn, confidence=confidence) for name, drawn in values.items()},
        n_images=len(places),
        n_subjects=n_subjects,
    )


def by_slice(
    judged: ScoredPredictions,
    slices: pl.DataFrame,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> list[tuple[str, str, Scored]]:
    """Axis, slice and metrics: all images first, then each slice in order of axis and name.

    Args:
        judged: The images.
        slices: `image_id`, `axis`, `slice`.
        resamples: How many times groups are drawn again.
        confidence: Of the intervals.
        seed: Of the draws.
    """
    return [
        (
            axis,
            name,
            score(judged, places, resamples=resamples, confidence=confidence, seed=seed),
        )
        for axis, name, places in places_by_slice(judged, slices)
    ]


def places_by_slice(
    judged: ScoredPredictions, slices: pl.DataFrame
) -> list[tuple[str, str, NDArray[np.int64]]]:
    """Axis, slice and places (n,) of its images: all first, then in order of axis and name.

    Args:
        judged: The images.
        slices: `image_id`, `axis`, `slice`.
    """
    place_of = {image_id: place for place, image_id in enumerate(judged.image_ids)}
    members: dict[tuple[str, str], list[int]] = {}
    for image_id, axis, name in slices.select("image_id", "axis", "slice").iter_rows():
        if image_id in place_of:
            members.setdefault((axis, name), []).append(place_of[image_id])
    parts = [(("overall", "all"), list(range(len(judged.image_ids)))), *sorted(members.items())]
    return [
        (axis, name, np.array(sorted(places), dtype=np.int64)) for (axis, name), places in parts
    ]
