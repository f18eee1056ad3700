"""Metrics of classification and segmentation: `f(truth, prediction)`, knowing no groups.

Each takes weights of shape (R, N), R weightings of the same N images, and gives R values at once:
leaving out each subject is one call. A metric that a weighting leaves undefined, such as the recall
of a class that does not occur, is NaN there. The counts of a mask that segmentation is scored by
are made at the end.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Mask = NDArray[np.uint8]

TOLERANCE = 0.0075
"""Of the image's diagonal: how far apart two borders may lie (Csurka et al. 2013).

Not rounded to whole pixels. A border cannot be told more finely than to one.
"""

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def confusion(actual: Indices, predicted: Indices, classes: int, weights: Floats) -> Floats:
    """Weighted counts (R, K, K), actual class by predicted class, from class indices (N,)."""
    cells = np.zeros((len(actual), classes * classes))
    cells[np.arange(len(actual)), actual * classes + predicted] = 1
    return np.asarray((weights @ cells).reshape(-1, classes, classes))


def accuracy(counts: Floats) -> Floats:
    """Share of images, or pixels, that were told right, from counts (R, K, K)."""
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


def boundary_f1(counts: Floats) -> Floats:
    """Harmonic mean of the shares of borders that lie near one another, (R, K).

    Csurka, Larlus and Perronnin (2013), from the sums (R, K, 4) of `boundary_counts`; NaN for a
    class that has no border at all.
    """
    drawn, drawn_near, true, true_near = np.moveaxis(counts, -1, 0)
    precise, found = _ratio(drawn_near, drawn), _ratio(true_near, true)
    both = np.nan_to_num(precise) + np.nan_to_num(found)
    mean = _ratio(2 * np.nan_to_num(precise) * np.nan_to_num(found), both)
    return np.where((drawn > 0) | (true > 0), np.nan_to_num(mean), np.nan)


def weighted_mean(values: Floats, weights: Floats) -> Floats:
    """Mean (R,) of the values (N,) of images under weights (R, N)."""
    return _ratio(weights @ values, weights.sum(1))


def over_classes(by_class: Floats) -> Floats:
    """Mean over the classes for which the metric is defined, (R, K) to (R,)."""
    known = ~np.isnan(by_class)
    return _ratio(np.where(known, by_class, 0).sum(1), known.sum(1))


def roc_auc(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve, (R,): the chance that a positive scores above a negative.

    From whether each image is of the class, (N,), and its score, (N,), which is higher where that
    is surer. Ties count half (Hanley and McNeil 1982).
    """
    hits, misses = _by_score(positive, scores, weights)
    # Negatives that score lower than each group of equal scores, and half of those that tie.
    lower = misses.sum(1, keepdims=True) - np.cumsum(misses, 1)
    won = (hits * (lower + misses / 2)).sum(1)
    return _ratio(won, hits.sum(1) * misses.sum(1))


def average_precision(positive: NDArray[np.bool_], scores: Floats, weights: Floats) -> Floats:
    """Area under the precision-recall curve as a step function, (R,).

    Precision at each recall step, weighted by the step (Zhu 2004), from what `roc_auc` takes.
    """
    hits, misses = _by_score(positive, scores, weights)
    found = np.cumsum(hits, 1)
    precise = _ratio(found, found + np.cumsum(misses, 1))
    return _ratio((hits * np.nan_to_num(precise)).sum(1), hits.sum(1))


def calibration_error(
    confidence: Floats, right: NDArray[np.bool_], weights: Floats, *, bins: int = 10
) -> Floats:
    """How far confidence and share of right answers lie apart on average, (R,).

    The expected calibration error of Guo et al. (2017), over bins of equal width, from the
    probability of the class that was named, (N,), and whether it was that class, (N,). Few images
    raise it: of 100, well calibrated ones too show about 0.05.
    """
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    member = np.eye(bins)[place]
    gaps = np.abs(weights @ (member * (right - confidence)[:, None]))
    return _ratio(gaps.sum(1), weights.sum(1))


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


def mask_confusion(mask: Mask, predicted: Mask, classes: int) -> Indices:
    """Pixel counts (K, K), actual class by predicted class, over the labelled pixels."""
    labelled = mask != NOT_LABELLED
    cells = mask[labelled].astype(np.int64) * classes + predicted[labelled]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def boundary_counts(mask: Mask, predicted: Mask, classes: int) -> Indices:
    """Border pixels by class, (K, 4): predicted, of these near a true one; true, near a predicted.

    Of class indices (H, W); where the mask is not labelled nothing counts. An iris code is read
    along the iris's two borders, so a border that is off by three pixels matters even where the
    areas agree.
    """
    disc = _near(TOLERANCE * math.hypot(*mask.shape))
    known = (mask != NOT_LABELLED).astype(np.uint8)
    # A border against what nobody labelled is no border.
    inner = cv2.erode(known, _CROSS)
    counts = np.zeros((classes, 4), np.int64)
    for index in range(classes):
        true, drawn = (_border(one == index) * inner for one in (mask, predicted))
        x, y, width, height = cv2.boundingRect(true | drawn)
        true, drawn = (one[y : y + height, x : x + width] for one in (true, drawn))
        counts[index] = [
            drawn.sum(),
            (drawn * cv2.dilate(true, disc)).sum() if drawn.any() else 0,
            true.sum(),
            (true * cv2.dilate(drawn, disc)).sum() if true.any() else 0,
        ]
    return counts


def _near(reach: float) -> Mask:
    """The pixels that lie no further from the middle one than `reach`; one pixel at the least."""
    # Squares of distances are whole numbers, so the margin is for rounding alone.
    square = max(1.0, reach) ** 2 + 1e-6
    across = np.arange(-math.isqrt(int(square)), math.isqrt(int(square)) + 1)
    return (across[:, None] ** 2 + across**2 <= square).astype(np.uint8)


def _border(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The pixels of a region that touch another; the image's edge is no border."""
    region = inside.astype(np.uint8)
    return np.asarray(region - cv2.erode(region, _CROSS), np.uint8)
