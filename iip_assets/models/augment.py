"""Light changes to a training picture, the mask changed with it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.decode import NOT_LABELLED

# Cameras are held about level and eyes are framed by a detector: turns and zooms stay small.
_TURN_DEG = 12.0
_ZOOM = 0.15
_SHIFT = 0.06
# Light and white balance vary far more between devices than geometry does.
_CONTRAST = 0.3
_BRIGHTNESS = 35.0
_COLOUR = 0.12


def augment(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A mirrored, turned, zoomed, shifted and relit copy of picture (H, W, 3) and mask (H, W).

    What comes in from outside the picture is grey and not labelled.
    """
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    matrix = _warp(image.shape[1], image.shape[0], rng)
    size = (image.shape[1], image.shape[0])
    grey: Any = (127, 127, 127)
    warped = cv2.warpAffine(
        np.ascontiguousarray(image), matrix, size, flags=cv2.INTER_LINEAR, borderValue=grey
    )
    warped_mask = cv2.warpAffine(
        np.ascontiguousarray(mask), matrix, size, flags=cv2.INTER_NEAREST, borderValue=NOT_LABELLED
    )
    return _relight(np.asarray(warped, np.uint8), rng), np.asarray(warped_mask, np.uint8)


def _warp(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float64]:
    turn = rng.uniform(-_TURN_DEG, _TURN_DEG)
    zoom = float(np.exp(rng.uniform(-_ZOOM, _ZOOM)))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom)
    matrix[:, 2] += rng.uniform(-_SHIFT, _SHIFT, 2) * (width, height)
    return np.asarray(matrix)


def _relight(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    gain = float(np.exp(rng.uniform(-_CONTRAST, _CONTRAST)))
    gains = gain * np.exp(rng.uniform(-_COLOUR, _COLOUR, 3))
    offset = rng.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    levels = (np.arange(256)[:, None] - 127.5) * gains + 127.5 + offset
    table = np.clip(levels, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)
