"""Metrics of classification and segmentation: `f(truth, prediction)`, knowing no groups.

Each takes weights of shape (R, N), R weightings of the same N pictures, and gives R values at
once: a bootstrap is one call. A metric that a weighting leaves undefined, such as the recall of a
class that does not occur, is NaN there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def confusion(actual: Indices, predicted: Indices, classes: int, weights: Floats) -> Floats:
    """Weighted counts (R, K, K), actual class by predicted class.

    Args:
        actual: (N,) class indices.
        predicted: (N,) class indices.
        classes: K.
        weights: (R, N).
    """
    cells = np.zeros((len(actual), classes * classes))
    cells[np.arange(len(actual)), actual * classes + predicted] = 1
    return np.asarray((weights @ cells).reshape(-1, classes, classes))


def accuracy(counts: Floats) -> Floats:
    """Share of pictures, or pixels, that were told right, from counts (R, K, K)."""
    return _ratio(np.einsum("rkk->r", counts), counts.sum((1, 2)))


def precision(counts: Floats) -> Floats:
    """Share that is right of what was called each class, (R, K)."""
    return _ratio(_diagonal(counts), counts.sum(1))


def recall(counts: Floats) -> Floats:
    """Share that was found of what is each class, (R, K)."""
    return _ratio(_diagonal(counts), counts.sum(2))


def f1(counts: Floats) -> Floats:
    """Harmonic mean of precision and recall of each class, (R, K).

    NaN for a class that neither occurs nor is predicted.
    """
    return _ratio(2 * _diagonal(counts), counts.sum(1) + counts.sum(2))


def iou(counts: Floats) -> Floats:
    """Intersection over union of each class, (R, K); NaN for a class that is nowhere.

    Jaccard (1912).
    """
    right = _diagonal(counts)
    return _ratio(right, counts.sum(1) + counts.sum(2) - right)


def over_classes(by_class: Floats) -> Floats:
    """Mean over the classes for which the metric is defined, (R, K) to (R,)."""
    known = ~np.isnan(by_class)
    return _ratio(np.where(known, by_class, 0).sum(1), known.sum(1))


def roc_auc(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve, (R,): the chance that a positive scores above a negative.

    Ties count half (Hanley and McNeil 1982).

    Args:
        positive: (N,) whether the picture is of the class.
        scores: (N,) higher is surer.
        weights: (R, N).
    """
    hits, misses = _by_score(positive, scores, weights)
    # Negatives that score lower than each group of equal scores, and half of those that tie.
    lower = misses.sum(1, keepdims=True) - np.cumsum(misses, 1)
    won = (hits * (lower + misses / 2)).sum(1)
    return _ratio(won, hits.sum(1) * misses.sum(1))


def average_precision(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Area under the precision-recall curve as a step function, (R,).

    Precision at each recall step, weighted by the step (Zhu 2004).

    Args:
        positive: (N,) whether the picture is of the class.
        scores: (N,) higher is surer.
        weights: (R, N).
    """
    hits, misses = _by_score(positive, scores, weights)
    found = np.cumsum(hits, 1)
    precise = _ratio(found, found + np.cumsum(misses, 1))
    return _ratio((hits * np.nan_to_num(precise)).sum(1), hits.sum(1))


def _by_score(
    positive: NDArray[np.bool_], scores: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Weights of positives and of negatives at each distinct score, highest first, (R, S)."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    if not len(starts):
        nothing = np.zeros((len(weights), 0))
        return nothing, nothing
    ordered = weights[:, order]
    is_positive = positive[order]
    hits = np.add.reduceat(ordered * is_positive, starts, axis=1)
    misses = np.add.reduceat(ordered * ~is_positive, starts, axis=1)
    return hits, misses


def _diagonal(counts: Floats) -> Floats:
    return np.asarray(np.einsum("rkk->rk", counts))


def _ratio(part: Floats, whole: Floats | NDArray[np.int64]) -> Floats:
    """The part over the whole, NaN where the whole is nothing."""
    empty = np.full(np.shape(part), np.nan)
    return np.asarray(np.divide(part, whole, out=empty, where=np.asarray(whole) > 0))
