"""Eyes drawn from circles, whose visible share is known by counting."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
CLASSES = ("background", "sclera", "iris", "pupil")


def drawn_mask(
    *,
    height: int = 240,
    width: int = 320,
    x: float = 160,
    y: float = 120,
    radius: float = 50,
    pupil: float = 18,
    upper_lid: float = -1,
    lower_lid: float = 10_000,
    opening: tuple[float, float] = (110, 70),
) -> U8:
    """Background 0, sclera 1, iris 2, pupil 3; lids are straight edges at these heights."""
    rows, columns = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    mask[((columns - x) / opening[0]) ** 2 + ((rows - y) / opening[1]) ** 2 <= 1] = 1
    distance = np.hypot(columns - x, rows - y)
    mask[distance <= radius] = 2
    mask[distance <= pupil] = 3
    mask[(rows < upper_lid) | (rows > lower_lid)] = 0
    return mask


def png(array: U8) -> bytes:
    """PNG bytes of a mask, or of an RGB image."""
    if array.ndim == 3:
        array = cv2.cvtColor(array, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", array)[1].tobytes()
