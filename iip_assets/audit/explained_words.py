"""Explanations in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iip_assets.models.tasks import FILTER, SEGMENTER

RIGHT, WRONG, APART = "right", "wrong", "right − wrong"
"""Which predictions a measure is of; the last is the difference of the other two."""

SCORES = {
    FILTER.name: "the filter's probability of the word that it said",
    SEGMENTER.name: "the segmenter's mean probability of the class, where it is or is said to be,",
}
"""By model, what an attribution is a change of."""


def explained_caption(row: Mapping[str, Any]) -> str:
    """What was said, what is true, how sure, and how much of what counted lies on the eye.

    Args:
        row: Of the table of explained images.
    """
    if row["model"] == FILTER.name:
        words = f"said {row['said']} ({row['confidence']:.0%} sure), labelled {row['label']}"
    else:
        words = f"IoU of {row['said']} {row['iou']:.2f}, labelled {row['label'] or 'nothing'}"
    if row["share_on_eye"] is None:
        return words
    return (
        f"{words}; {row['share_on_eye']:.0%} of what counted lies on the eye, "
        f"which is {row['chance_share']:.0%} of the image"
    )
