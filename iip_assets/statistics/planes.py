"""The reductions of images that every measure is taken from, each made once.

Reading a full-size image costs more than any measure does, so it is read three times: for its
luma, for a sparse sample of its colours, and for the rows that show its noise. What is left is
small, and images of one shape are measured together: a call costs as much as the work in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

# Long side of the image that measures of detail are taken on, whatever the camera's resolution.
NORMAL_SIDE_PX = 160
# Long side, at most, of the sample that colours are measured on: means over 1,700 points are exact
# enough.
COLOUR_SIDE_PX = 48
# Triples of rows that the noise is measured on; more would not make the estimate better.
_NOISE_ROWS = 32


@dataclass(frozen=True)
class Reduced:
    """What is kept of one image.

    Attributes:
        normal: (h, w) luma (ITU-R BT.601) whose long side is `NORMAL_SIDE_PX`.
        colours: (h', w', 3) RGB of evenly spaced pixels.
        triples: (3, R, W) luma in full resolution: R rows, each between the one above and the one
            below it.
    """

    normal: U8
    colours: U8
    triples: U8

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Images whose shapes are equal can be stacked."""
        return self.normal.shape, self.colours.shape, self.triples.shape


@dataclass(frozen=True)
class Planes:
    """K images of one shape as the measures want them."""

    normal: U8  # (K, h, w), see `Reduced`
    # (K, h + 2, w), the same with the second row before the first and so at the end, as OpenCV's
    # filters mirror an image at its edge: all may be filtered as one tall image.
    padded: U8
    lab: U8  # (K, h', w', 3) colours in CIELAB, in OpenCV's 8-bit coding (a*, b* offset by 128)
    hsv: U8  # (K, h', w', 3) colours as hue, saturation, value
    triples: U8  # (K, 3, R, W), see `Reduced`


def luma_of(rgb: U8) -> U8:
    """(H, W, 3) RGB to (H, W) luma."""
    luma: U8 = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return luma


def reduce_image(rgb: U8, luma: U8) -> Reduced:
    """What is kept of an image (H, W, 3) and its luma (H, W)."""
    return Reduced(
        normal=to_normal_size(luma),
        colours=_sample(rgb, COLOUR_SIDE_PX),
        triples=noise_triples(luma),
    )


def stack_planes(images: Sequence[Reduced]) -> Planes:
    """The planes of images of one shape."""
    normal = np.stack([image.normal for image in images])
    colours = np.stack([image.colours for image in images])
    tall = colours.reshape(-1, *colours.shape[2:])
    return Planes(
        normal=normal,
        padded=np.pad(normal, ((0, 0), (1, 1), (0, 0)), mode="reflect"),
        lab=cv2.cvtColor(tall, cv2.COLOR_RGB2LAB).reshape(colours.shape),
        hsv=cv2.cvtColor(tall, cv2.COLOR_RGB2HSV).reshape(colours.shape),
        triples=np.stack([image.triples for image in images]),
    )


def noise_triples(luma: U8) -> U8:
    """(3, R, W): evenly spaced rows between their neighbours; R is 0 for less than three rows."""
    height, width = luma.shape
    inner = max(0, height - 2)
    step = max(1, inner // _NOISE_ROWS)
    triples = np.empty((3, len(range(0, inner, step)), width), np.uint8)
    for offset in range(3):
        triples[offset] = luma[offset : inner + offset : step]
    return triples


def to_normal_size(luma: U8) -> U8:
    """The plane (H, W) with its long side at `NORMAL_SIDE_PX`, made smaller or larger.

    Whole blocks are averaged first: OpenCV does that five times faster than an area mean of a
    broken factor, and what is left to interpolate is less than a factor of two. Up to a block's
    width is cut off at the right and at the foot.
    """
    height, width = luma.shape
    block = max(1, max(height, width) // NORMAL_SIDE_PX)
    if block > 1:
        rows, columns = max(1, height // block), max(1, width // block)
        cut = luma[: rows * min(block, height), : columns * min(block, width)]
        luma = cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA)
    scale = NORMAL_SIDE_PX / max(height, width)
    wanted = max(1, round(width * scale)), max(1, round(height * scale))
    if (luma.shape[1], luma.shape[0]) == wanted:
        return luma
    resized: U8 = cv2.resize(luma, wanted, interpolation=cv2.INTER_LINEAR)
    return resized


def _sample(rgb: U8, side_px: int) -> U8:
    height, width = rgb.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    sampled: U8 = cv2.resize(rgb, size, interpolation=cv2.INTER_NEAREST)
    return sampled
