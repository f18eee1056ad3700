"""Names that many rooms share, and how people see names spelled."""

from __future__ import annotations

from iip_assets.dataset.schema import TRAINING_LABELS

FILTER_CLASSES = TRAINING_LABELS
"""What the filter tells apart. Nothing is trained on images labelled `unclear`."""

BASELINE = "_baseline"
"""`filter_baseline` is what a trivial model reaches."""

HUMAN = "_human"
"""`filter_human` is what labelers reach when each is judged by the words of the others."""

BESIDE_HUMAN = "_beside_human"
"""`filter_beside_human` is the filter, judged by those very words on those very images."""

OVERALL = "overall"
"""The axis of all images; by others they are divided into slices."""

_SPELLING = {"iou": "IoU", "f1": "F1", "auc": "AUC", "map": "mAP", "jpeg": "JPEG", "ap": "AP"}


def spelled(name: str) -> str:
    """`mean_iou` as `mean IoU`."""
    return " ".join(_SPELLING.get(part, part) for part in str(name).split("_"))
