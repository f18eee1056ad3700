"""What corruptions are made of: random bits and arithmetic that are the same on every machine.

Bits come from PCG64, whose stream numpy promises not to change. All else is whole numbers, or
IEEE additions, products and roots, one after another.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8] | None
Ints = NDArray[np.int32]
Floats = NDArray[np.float64]

NORMAL_UNIT = 1024
"""What `Draws.normal` gives for one standard deviation."""
# Steps in a pixel: positions are rounded to these.
_STEPS = 64


class Draws:
    """Random numbers from a text, which is the seed."""

    def __init__(self, text: str) -> None:
        self._bits = np.random.PCG64(list(hashlib.sha256(text.encode()).digest()))

    def words(self, *shape: int) -> NDArray[np.uint16]:
        """Whole numbers from 0 to 65,535."""
        count = math.prod(shape)
        raw = np.asarray(self._bits.random_raw(-(-count // 4)), dtype="<u8")
        return raw.view("<u2")[:count].reshape(shape)

    def normal(self, *shape: int) -> Ints:
        """Standard normal numbers in units of 1 / `NORMAL_UNIT`."""
        return _normal_table()[self.words(*shape)]

    def between(self, low: float, high: float) -> float:
        """A number between two, from 53 bits."""
        return low + (high - low) * (int(self._bits.random_raw()) >> 11) / 2**53

    def sign(self) -> int:
        """1 or -1."""
        return 1 if int(self._bits.random_raw()) >> 63 else -1


@lru_cache(maxsize=1)
def _normal_table() -> Ints:
    """The quantiles of 65,536 equal shares; rounding hides how a library computes them."""
    from scipy.special import ndtri

    return np.asarray(np.rint(ndtri((np.arange(2**16) + 0.5) / 2**16) * NORMAL_UNIT), np.int32)


def pixels(values: NDArray[Any]) -> Image:
    """Whole numbers cut to 0 to 255."""
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def mixed(image: Image, colour: Any, share: Floats) -> Image:
    """The image (H, W, 3) with this share (H, W), 0 to 1, of a colour before it."""
    weight = np.rint(share * 256).astype(np.int32)[:, :, None]
    above = np.asarray(colour, np.int32)
    return pixels((image * (256 - weight) + above * weight + 128) >> 8)


def grid(shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """X and y (H, W) of each pixel."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    return x, y


def sample(values: NDArray[Any], x: Floats, y: Floats) -> Ints:
    """Whole numbers (H, W, ...) at places, between pixels by bilinear weights; mirrored outside."""
    (left, right, across), (top, bottom, down) = (
        _neighbours(place, size) for place, size in ((x, values.shape[1]), (y, values.shape[0]))
    )
    if values.ndim == 3:
        across, down = across[..., None], down[..., None]
    numbers = values.astype(np.int32)
    upper = numbers[top, left] * (_STEPS - across) + numbers[top, right] * across
    lower = numbers[bottom, left] * (_STEPS - across) + numbers[bottom, right] * across
    total = upper * (_STEPS - down) + lower * down
    return np.asarray((total + _STEPS**2 // 2) // _STEPS**2, np.int32)


def _neighbours(place: Floats, size: int) -> tuple[Ints, Ints, Ints]:
    """The pixels before and after each place, and how many steps after the one before it is."""
    last = (size - 1) * _STEPS
    steps = np.abs(np.rint(place * _STEPS).astype(np.int32)) % max(2 * last, 1)
    steps = last - np.abs(last - steps)
    before = steps // _STEPS
    return before, np.minimum(before + 1, size - 1), steps % _STEPS


def warped(image: Image, mask: Mask, x: Floats, y: Floats) -> tuple[Image, Mask]:
    """Image and mask with, at each pixel, what stood at (x, y); the mask is unlabelled outside.

    The image is mirrored at its border, so that no black wedge appears, which would be a corruption
    of its own.
    """
    moved = pixels(sample(image, x, y))
    if mask is None:
        return moved, None
    height, width = mask.shape
    column, row = np.floor(x + 0.5).astype(np.int32), np.floor(y + 0.5).astype(np.int32)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = mask[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return moved, np.where(inside, found, np.uint8(NOT_LABELLED))
