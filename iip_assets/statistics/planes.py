"""The three reductions of a picture that every measure is taken from, each made once.

Reading a full-size picture costs more than any measure does, so it is read twice: once for its luma
and once for a sparse sample of its colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

# Long side of the picture that measures of detail are taken on, whatever the camera's resolution.
NORMAL_SIDE_PX = 160
# Long side, at most, of the sample that colours are measured on: means over 1,700 points are exact
# enough.
COLOUR_SIDE_PX = 48


@dataclass(frozen=True)
class Planes:
    """A picture as the measures want it.

    Attributes:
        luma: (H, W) luma (ITU-R BT.601), in full resolution.
        normal: (h, w) luma whose long side is `NORMAL_SIDE_PX`.
        lab: (h', w', 3) CIELAB in OpenCV's 8-bit coding (a*, b* offset by 128), on evenly spaced
            pixels.
        hsv: (h', w', 3) hue, saturation, value of the same pixels.
    """

    luma: U8
    normal: U8
    lab: U8
    hsv: U8


def make_planes(rgb: U8) -> Planes:
    """The planes of an RGB picture of shape (H, W, 3)."""
    luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    colours = _sample(rgb, COLOUR_SIDE_PX)
    return Planes(
        luma=luma,
        normal=to_normal_size(luma),
        lab=cv2.cvtColor(colours, cv2.COLOR_RGB2LAB),
        hsv=cv2.cvtColor(colours, cv2.COLOR_RGB2HSV),
    )


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
