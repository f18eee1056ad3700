"""Boundaries of classes: how much of one lies near the other.

An iris code is read along the iris's two borders, so a border that is off by three pixels matters
even where the areas agree.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED

TOLERANCE = 0.0075
"""Of the image's diagonal: how far apart two borders may lie (Csurka et al. 2013)."""

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


def boundary_counts(
    mask: NDArray[np.uint8], predicted: NDArray[np.uint8], classes: int
) -> NDArray[np.int64]:
    """Border pixels by class, (K, 4): predicted, of these near a true one; true, near a predicted.

    Args:
        mask: (H, W) class indices; where it is not labelled nothing counts.
        predicted: (H, W) class indices.
        classes: K.
    """
    height, width = mask.shape
    reach = max(1, round(TOLERANCE * math.hypot(height, width)))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    known = (mask != NOT_LABELLED).astype(np.uint8)
    # A border against what nobody labelled is no border.
    inner = cv2.erode(known, _CROSS)
    counts = np.zeros((classes, 4), np.int64)
    for index in range(classes):
        true = _border(mask == index) * inner
        said = _border(predicted == index) * inner
        near_true, near_said = cv2.dilate(true, disc), cv2.dilate(said, disc)
        counts[index] = [
            said.sum(),
            (said * near_true).sum(),
            true.sum(),
            (true * near_said).sum(),
        ]
    return counts


def _border(inside: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The pixels of a region that touch another; the image's edge is no border."""
    region = inside.astype(np.uint8)
    return np.asarray(region - cv2.erode(region, _CROSS), np.uint8)
