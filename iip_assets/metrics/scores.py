"""All metrics of each model at once, by name, under many weightings of the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iip_assets.metrics.functional import (
    accuracy,
    average_precision,
    boundary_f1,
    calibration_error,
    confusion,
    f1,
    iou,
    over_classes,
    precision,
    recall,
    roc_auc,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Gate:
    """What the filter should let pass.

    Attributes:
        usable: The classes that the segmenter can do something with.
        lost_iris: What a usable image costs that is rejected: somebody must be photographed again.
        failed_segmentation: What an unusable one costs that passes: the segmenter's time, and a
            mask that nothing good can come of. Both in any one unit.
    """

    usable: tuple[str, ...]
    lost_iris: float
    failed_segmentation: float

    @property
    def break_even(self) -> float:
        """The probability from which on passing costs less (Elkan 2001), if probabilities hold."""
        return self.failed_segmentation / (self.failed_segmentation + self.lost_iris)

    @property
    def largest_cost(self) -> float:
        """What an image costs at most."""
        return max(self.failed_segmentation, self.lost_iris)


def gate_scores(
    usable: NDArray[np.bool_],
    scores: Floats,
    passes: NDArray[np.bool_],
    weights: Floats,
    gate: Gate,
) -> dict[str, Floats]:
    """How well usable images are let pass: metric name to its (R,) values.

    From whether an image is usable, its score, and whether that reaches the threshold, (N,) each.
    """
    counts = confusion(usable.astype(np.int64), passes.astype(np.int64), 2, weights)
    lost, failed = counts[:, 1, 0], counts[:, 0, 1]
    paid = lost * gate.lost_iris + failed * gate.failed_segmentation
    drawn = weights.sum(1)
    return {
        "usable_auc": roc_auc(usable, scores, weights),
        "usable_recall": recall(counts)[:, 1],
        "usable_precision": precision(counts)[:, 1],
        "unusable_rejected": recall(counts)[:, 0],
        "cost": np.divide(paid, drawn, out=np.full(len(paid), np.nan), where=drawn > 0),
    }


def filter_scores(
    actual: NDArray[np.int64], probabilities: Floats, weights: Floats, classes: Sequence[str]
) -> dict[str, Floats]:
    """Metric name to its (R,) values, from class indices (N,) and probabilities (N, K).

    Macro averages run over the classes that occur among these images, so that a model and its
    baseline are averaged over the same classes, whatever they predict.
    """
    predicted = probabilities.argmax(1)
    counts = confusion(actual, predicted, len(classes), weights)
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
        "f1_macro": over_classes(_occurring(by_class["f1"], counts)),
        "auc_macro": over_classes(by_class["auc"]),
        "map": over_classes(by_class["ap"]),
        "calibration_error": calibration_error(probabilities.max(1), actual == predicted, weights),
    }
    return scores | _named(by_class, classes)


def segmenter_scores(
    pixel_counts: Floats,
    weights: Floats,
    classes: Sequence[str],
    boundary: Floats | None = None,
) -> dict[str, Floats]:
    """Metric name to its (R,) values, from the pixels of all images together.

    From confusion counts (N, K, K) and `boundary_counts` (N, K, 4), if known. The mean runs over
    the classes that occur in the masks. `image_iou_<class>` is the mean of the IoU of single images
    whose mask has the class: small irises count as much as large ones.
    """
    size = len(classes)
    flat = pixel_counts.reshape(len(pixel_counts), size * size)
    counts = (weights @ flat).reshape(-1, size, size)
    by_class = iou(counts)
    mean = over_classes(_occurring(by_class, counts))
    scores = {"mean_iou": mean, "pixel_accuracy": accuracy(counts)}
    by_metric = {"iou": by_class, "image_iou": _mean_image_iou(pixel_counts, weights)}
    if boundary is not None:
        sums = (weights @ boundary.reshape(len(boundary), -1)).reshape(-1, size, 4)
        by_metric["boundary_f1"] = boundary_f1(sums)
    return scores | _named(by_metric, classes)


def subjects_behind(metric: str, defined: Mapping[str, int]) -> float | None:
    """On how many subjects a metric rests that more than one class goes into; None for others.

    An average over classes is as sure as its rarest class lets it be: from the number of subjects
    of each class, the degrees of freedom are Satterthwaite's, and one more is returned. An area
    under the ROC curve needs positives and negatives.

    Args:
        metric: Its name.
        defined: For how many subjects alone each metric is defined, by name.
    """
    has = {name: n for name, n in defined.items() if n and name.startswith("recall_")}
    if metric == "usable_auc":
        parts = [defined["usable_recall"], defined["unusable_rejected"]]
    elif metric.startswith("auc_") and metric != "auc_macro":
        own = metric.replace("auc_", "recall_")
        parts = [defined[own], max((n for name, n in has.items() if name != own), default=0)]
    elif metric == "mean_iou":
        parts = [n for name, n in defined.items() if n and name.startswith("image_iou_")]
    elif metric in ("f1_macro", "auc_macro", "map"):
        parts = list(has.values())
    else:
        return None
    if min(parts, default=0) < 2:
        return float(min(parts, default=0))
    variances = [1 / n for n in parts]
    free = sum(variances) ** 2 / sum(v**2 / (n - 1) for v, n in zip(variances, parts, strict=True))
    return 1 + free


def _mean_image_iou(pixel_counts: Floats, weights: Floats) -> Floats:
    """Mean IoU of single images, (R, K), over those whose mask has the class."""
    has = pixel_counts.sum(2) > 0
    single = np.where(has, iou(pixel_counts), 0)
    drawn = weights @ has
    return np.asarray(
        np.divide(weights @ single, drawn, out=np.full(drawn.shape, np.nan), where=drawn > 0)
    )


def _occurring(by_class: Floats, counts: Floats) -> Floats:
    """The metric (R, K), undefined for classes that do not occur in counts (R, K, K)."""
    return np.where(counts.sum(2) > 0, by_class, np.nan)


def _named(by_class: dict[str, Floats], classes: Sequence[str]) -> dict[str, Floats]:
    return {
        f"{metric}_{name}": values[:, index]
        for metric, values in by_class.items()
        for index, name in enumerate(classes)
    }
