"""The exact mask of a rendered eye, and the label that follows from it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iip_assets.synthetic.eyeball import CARUNCLE_END
from iip_assets.synthetic.geometry import EyeGeometry
from iip_assets.synthetic.paint import Plane

Label = Literal["full", "partial", "none"]
Mask = NDArray[np.uint8]

BACKGROUND, SCLERA, IRIS, PUPIL = range(4)
NONE_BELOW_SHARE = 0.001  # of all pixels of the image
FULL_FROM_SHARE = 0.6  # of the whole iris disc


def eye_mask(eye: EyeGeometry | None, cover: Plane | None, height: int, width: int) -> Mask:
    """The class of each pixel: whatever fills more than half of it.

    Args:
        eye: The geometry; None where no eye is in the frame.
        cover: (H, W) opacity of what stands before the eye, None for nothing.
        height: Of the image.
        width: Of the image.

    Returns:
        (height, width) uint8 of 0 background, 1 sclera, 2 iris, 3 pupil; the caruncle counts as
        background.
    """
    mask = np.zeros((height, width), np.uint8)
    if eye is None:
        return mask
    part = mask[eye.box]
    seen = eye.opening > 0
    iris = eye.inside_iris > 0
    part[seen & (eye.u > CARUNCLE_END)] = SCLERA
    part[seen & iris] = IRIS
    part[seen & iris & (eye.inside_pupil > 0)] = PUPIL
    if cover is not None:
        mask[cover > 0.5] = BACKGROUND
    return mask


def iris_share(mask: Mask, disc_area_px: float) -> float:
    """Visible iris and pupil as a share of the whole iris disc, 0 to 1."""
    return min(1.0, float(np.count_nonzero(mask >= IRIS)) / disc_area_px)


def label_of(mask: Mask, disc_area_px: float) -> Label:
    """The true label.

    `none` under 0.1% of the pixels iris or pupil; `partial` where under 60% of the whole iris disc
    is seen or the iris touches the border; else `full`.
    """
    iris = mask >= IRIS
    if np.count_nonzero(iris) < NONE_BELOW_SHARE * mask.size:
        return "none"
    touches = iris[0].any() or iris[-1].any() or iris[:, 0].any() or iris[:, -1].any()
    if touches or iris_share(mask, disc_area_px) < FULL_FROM_SHARE:
        return "partial"
    return "full"
