"""All metrics of each model at once, by name, under many weightings of the same pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from iip_assets.models.metrics import (
    accuracy,
    average_precision,
    confusion,
    f1,
    iou,
    over_classes,
    precision,
    recall,
    roc_auc,
)

Floats = NDArray[np.float64]

FILTER_HEADLINE = "f1_macro"
SEGMENTER_HEADLINE = "mean_iou"


def filter_scores(
    actual: NDArray[np.int64], probabilities: Floats, weights: Floats, classes: Sequence[str]
) -> dict[str, Floats]:
    """Metric name to its (R,) values.

    Macro averages run over the classes that occur among these pictures, so that a model and its
    baseline are averaged over the same classes, whatever they predict.

    Args:
        actual: (N,) class indices.
        probabilities: (N, K).
        weights: (R, N).
        classes: The K names.
    """
    counts = confusion(actual, probabilities.argmax(1), len(classes), weights)
    by_class = {"f1": f1(counts), "precision": precision(counts), "recall": recall(counts)}
    areas, precisions = [], []
    for index in range(len(classes)):
        is_class = actual == index
        areas.append(roc_auc(is_class, probabilities[:, index], weights))
        precisions.append(average_precision(is_class, probabilities[:, index], weights))
    by_class["auc"] = np.stack(areas, axis=1)
    by_class["ap"] = np.stack(precisions, axis=1)
    scores = {
        "accuracy": accuracy(counts),
        FILTER_HEADLINE: over_classes(_occurring(by_class["f1"], counts)),
        "auc_macro": over_classes(by_class["auc"]),
        "map": over_classes(by_class["ap"]),
    }
    return scores | _named(by_class, classes)


def segmenter_scores(
    pixel_counts: Floats, weights: Floats, classes: Sequence[str]
) -> dict[str, Floats]:
    """Metric name to its (R,) values, from the pixels of all pictures together.

    The mean runs over the classes that occur in the masks.

    Args:
        pixel_counts: (N, K, K) confusion counts of each picture.
        weights: (R, N).
        classes: The K names.
    """
    size = len(classes)
    flat = pixel_counts.reshape(len(pixel_counts), size * size)
    counts = (weights @ flat).reshape(-1, size, size)
    by_class = iou(counts)
    mean = over_classes(_occurring(by_class, counts))
    scores = {SEGMENTER_HEADLINE: mean, "pixel_accuracy": accuracy(counts)}
    return scores | _named({"iou": by_class}, classes)


def _occurring(by_class: Floats, counts: Floats) -> Floats:
    """The metric (R, K), undefined for classes that do not occur in counts (R, K, K)."""
    return np.where(counts.sum(2) > 0, by_class, np.nan)


def _named(by_class: dict[str, Floats], classes: Sequence[str]) -> dict[str, Floats]:
    return {
        f"{metric}_{name}": values[:, index]
        for metric, values in by_class.items()
        for index, name in enumerate(classes)
    }
