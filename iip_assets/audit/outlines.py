"""Outlines of regions: polygons that are small to keep and can be drawn at any size."""

from __future__ import annotations

import json

import cv2
import numpy as np
from numpy.typing import NDArray

# How far an outline may leave its pixels, in pixels of the region.
_SLACK_PX = 0.7
_DIGITS = 3


def outline_of(region: NDArray[np.bool_]) -> str | None:
    """The region's borders (H, W) as JSON polygons of x and y, from 0 to 1; None where it is empty.

    Holes have a border of their own.
    """
    height, width = region.shape
    borders, _ = cv2.findContours(
        np.ascontiguousarray(region).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
    )
    polygons = [
        # The middle of a pixel.
        ((cv2.approxPolyDP(border, _SLACK_PX, closed=True)[:, 0] + 0.5) / (width, height))
        .round(_DIGITS)
        .tolist()
        for border in borders
    ]
    return json.dumps(polygons) if polygons else None
