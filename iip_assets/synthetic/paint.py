"""Brushes: mixing a colour into planes, and drawing curves as soft layers.

An image is (3, H, W) float32 RGB in 0..1: planes, because numpy broadcasts over them fast.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Planes = NDArray[np.float32]
Colour = Sequence[float] | NDArray[np.floating]

_SHIFT = 4  # sub-pixel bits of OpenCV's drawing calls


def mix(planes: Planes, alpha: Plane | float, colour: Colour) -> None:
    """Lays a colour, or an image of the same size, over `image` in place."""
    for channel in range(3):
        plane = planes[channel]
        plane += alpha * (np.float32(colour[channel]) - plane)


def coverage(signed_px: Plane, softness_px: float = 1.0) -> Plane:
    """Opacity at an edge `softness_px` wide, from the distance in pixels inside it."""
    return np.asarray(np.clip(signed_px / np.float32(softness_px) + np.float32(0.5), 0, 1))


def bump(distance: Plane, width: float) -> Plane:
    """A soft line: 1 at distance 0, 0 from 1.6 widths. A Gaussian's look without its exp."""
    t = np.clip(1 - (distance / np.float32(1.6 * width)) ** 2, 0, 1)
    return np.asarray(t * t)


def layer(height: int, width: int) -> NDArray[np.uint8]:
    """An empty layer to draw on."""
    return np.zeros((height, width), np.uint8)


def strokes(
    target: NDArray[np.uint8], points: NDArray[np.float32], value: int, thickness: int = 1
) -> None:
    """Draws anti-aliased open curves.

    Args:
        target: Layer to draw on, in place.
        points: (n, points per curve, 2) in pixels, x then y; pixel centres lie at halves.
        value: 0 to 255.
        thickness: In pixels.
    """
    limit = 32 * max(target.shape)
    fixed = ((np.clip(points, -limit, limit) - 0.5) * (1 << _SHIFT)).round().astype(np.int32)
    cv2.polylines(target, list(fixed), False, value, thickness, cv2.LINE_AA, _SHIFT)


def polygon(target: NDArray[np.uint8], points: NDArray[np.float32], value: int) -> None:
    """Fills one convex polygon (n, 2), anti-aliased, in place."""
    fixed = ((points - 0.5) * (1 << _SHIFT)).round().astype(np.int32)
    cv2.fillConvexPoly(target, fixed, value, cv2.LINE_AA, _SHIFT)


def opacity(target: NDArray[np.uint8], scale: float = 1.0) -> Plane:
    """A drawn layer as opacity 0..1 times `scale`."""
    return target.astype(np.float32) * np.float32(scale / 255)


def thickness_px(wanted: float) -> int:
    """A drawable line thickness of at least one pixel."""
    return max(1, round(wanted))
