"""Brushes and noise: colours mixed into planes, curves as soft layers, textures made once.

An image is (3, H, W) float32 RGB in 0..1: planes, because numpy broadcasts over them fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
TextureKind = Literal["pores", "grain", "mottle", "vessels", "fibres"]

TILE = 512
REFERENCE_WIDTH = 160
IRIS_RADII, IRIS_ANGLES, IRIS_PATTERNS = 64, 512, 8

Planes = NDArray[np.float32]
Colour = Sequence[float] | NDArray[np.floating]
_SHIFT = 4  # sub-pixel bits of OpenCV's drawing calls


def _smoothed(white: Plane, sigma_x: float, sigma_y: float) -> Plane:
    """White noise blurred with wrapped borders, at mean 0 and standard deviation 1."""
    pad = int(3 * max(sigma_x, sigma_y)) + 2
    wrapped = np.pad(white, pad, mode="wrap")
    blurred = cv2.GaussianBlur(wrapped, (0, 0), sigmaX=sigma_x, sigmaY=sigma_y)
    tile = blurred[pad:-pad, pad:-pad]
    return np.asarray((tile - tile.mean()) / tile.std(), dtype=np.float32)


def _white(seed: int, shape: tuple[int, ...]) -> Plane:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@cache
def _tile(kind: TextureKind) -> Plane:
    """A square tile of `TILE` pixels that repeats without a seam."""
    shape = (TILE, TILE)
    if kind == "pores":
        return _smoothed(_white(1, shape), 0.8, 0.8) * 0.6 + _smoothed(_white(2, shape), 1.7, 1.7)
    if kind == "grain":
        return _smoothed(_white(3, shape), 2.6, 2.6)
    if kind == "mottle":
        return _smoothed(_white(4, shape), 9.0, 9.0)
    if kind == "fibres":
        coarse = _smoothed(_white(5, shape), 50.0, 2.4)
        return coarse * 0.6 + _smoothed(_white(6, shape), 36.0, 0.7) * 0.7
    ridges = [1 - np.abs(_smoothed(_white(7 + i, shape), s, s * 0.7)) for i, s in enumerate((5, 3))]
    sharp = [np.clip(ridge, 0, 1) ** 9 for ridge in ridges]
    return np.asarray(sharp[0] + 0.6 * sharp[1], dtype=np.float32)


def patch(kind: TextureKind, rng: np.random.Generator, height: int, width: int) -> Plane:
    """A piece of a texture at a random place, (height, width), never to be written to.

    All kinds but `vessels` (0 to about 1.5) have mean 0 and deviation near 1.
    """
    return _cut(_tile(kind), rng, height, width)


def _cut(tile: Plane, rng: np.random.Generator, height: int, width: int) -> Plane:
    """A piece (..., height, width) of a tile that repeats."""
    top, left = (int(value) for value in rng.integers(0, TILE, 2))
    if height + top <= TILE and width + left <= TILE:
        return tile[..., top : top + height, left : left + width]
    rows = np.arange(top, top + height) % TILE
    columns = np.arange(left, left + width) % TILE
    return tile.take(rows, axis=-2).take(columns, axis=-1)


@cache
def _sensor_tile() -> Plane:
    return _white(20, (3, TILE, TILE))


def sensor_noise(rng: np.random.Generator, height: int, width: int) -> Plane:
    """White noise (3, height, width) of deviation 1, a random piece of a fixed tile."""
    return _cut(_sensor_tile(), rng, height, width)


@cache
def iris_patterns() -> Plane:
    """Fibres of the iris in polar coordinates: (patterns, radii from pupil to limbus, angles)."""
    shape = (IRIS_RADII, IRIS_ANGLES)
    patterns = []
    for number in range(IRIS_PATTERNS):
        fibres = _smoothed(_white(100 + number, shape), 2.2, 11.0)
        crypts = _smoothed(_white(200 + number, shape), 7.0, 5.0)
        furrows = _smoothed(_white(300 + number, shape), 40.0, 2.5)
        patterns.append(0.75 * fibres + 0.5 * np.minimum(crypts, 0.6) + 0.2 * furrows)
    return np.asarray(patterns, dtype=np.float32)


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
    """Draws anti-aliased open curves on a layer, in place, with a value of 0 to 255.

    Points are (n, points per curve, 2) in pixels, x then y; pixel centres lie at halves.
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
