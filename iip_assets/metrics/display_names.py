"""Names of metrics and corruptions, as plots and pages spell them."""

from __future__ import annotations

_SPELLING = {"iou": "IoU", "f1": "F1", "auc": "AUC", "map": "mAP", "jpeg": "JPEG", "ap": "AP"}


def spelled(name: str) -> str:
    """`mean_iou` as `mean IoU`."""
    return " ".join(_SPELLING.get(part, part) for part in str(name).split("_"))
