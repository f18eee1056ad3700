"""What can go wrong with an image of an eye, in five severities.

Each corruption is a function of an image (H, W, 3), its mask (H, W) or None, a severity from 1 to
5 and a generator, and gives both back. Strengths were chosen by eye on images 160 to 320 px wide:
severity 1 is hardly seen, 3 is plainly bad, and at 5 a person still finds the iris. Lengths grow
with the image, so that a severity means the same at any size.
"""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8] | None
Corruption = Callable[[Image, Mask, int, np.random.Generator], tuple[Image, Mask]]

SEVERITIES = (1, 2, 3, 4, 5)

# Sigma as a share of the longer side: half a pixel to five at 160 px.
_BLUR_SHARE = (0.003, 0.006, 0.011, 0.019, 0.03)
_TURN_DEG = (5.0, 10.0, 20.0, 30.0, 45.0)
# How much of the light that a pure colour would stop is stopped.
_FILTER_DEPTH = (0.15, 0.3, 0.45, 0.6, 0.75)
# Grey levels of 255.
_NOISE_SIGMA = (4.0, 8.0, 14.0, 24.0, 40.0)
_JPEG_QUALITY = (50, 30, 18, 10, 5)


def blur(image: Image, mask: Mask, severity: int, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Out of focus: a Gaussian."""
    del rng
    sigma = _BLUR_SHARE[severity - 1] * max(image.shape[:2])
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8), mask


def rotation(
    image: Image, mask: Mask, severity: int, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """The camera held askew, to either side; the mask turns with the image.

    The image is mirrored at its border, so that corners hold no black wedge, which would be a
    corruption of its own; the mask is not labelled there.
    """
    angle = _TURN_DEG[severity - 1] * (1 if rng.random() < 0.5 else -1)
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    turned = cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    if mask is None:
        return np.asarray(turned, np.uint8), None
    turned_mask = cv2.warpAffine(
        mask, matrix, (width, height), flags=cv2.INTER_NEAREST, borderValue=NOT_LABELLED
    )
    return np.asarray(turned, np.uint8), np.asarray(turned_mask, np.uint8)


def colour_filter(
    image: Image, mask: Mask, severity: int, rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Coloured light or glass of any hue: each channel is dimmed as far as the hue lacks it."""
    hue = np.array(colorsys.hsv_to_rgb(rng.random(), 1.0, 1.0))
    gains = 1 - _FILTER_DEPTH[severity - 1] * (1 - hue)
    return _as_pixels(image * gains), mask


def noise(image: Image, mask: Mask, severity: int, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Sensor noise: independent and Gaussian in each channel."""
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    return _as_pixels(image + grain * _NOISE_SIGMA[severity - 1]), mask


def jpeg(image: Image, mask: Mask, severity: int, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Saved with strong compression."""
    del rng
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY[severity - 1]]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), quality)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8), mask


CORRUPTIONS: Mapping[str, Corruption] = {
    "blur": blur,
    "rotation": rotation,
    "colour_filter": colour_filter,
    "noise": noise,
    "jpeg": jpeg,
}


def corrupt(
    name: str, image: Image, mask: Mask, *, severity: int, image_id: str, seed: int
) -> tuple[Image, Mask]:
    """The image and its mask under a corruption, always the same for one image id and seed.

    What is drawn (a hue, a side, the grain) stays the same over all severities of one corruption,
    so that a curve over severities shows nothing but strength.

    Args:
        name: Of the corruption.
        image: (H, W, 3).
        mask: (H, W), or None.
        severity: 1 to 5.
        image_id: Of the image.
        seed: Of the benchmark.

    Raises:
        ValueError: There is no such corruption or severity.
    """
    check_names([name])
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity}; it must be one of {SEVERITIES}")
    text = f"{seed}:{name}:{image_id}".encode()
    rng = np.random.default_rng(list(hashlib.sha256(text).digest()))
    return CORRUPTIONS[name](image, mask, severity, rng)


def check_names(names: Any) -> None:
    """Checks that all of these corruptions exist.

    Raises:
        ValueError: One does not.
    """
    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise ValueError(
            f"robustness.corruptions names {unknown}; known are {', '.join(CORRUPTIONS)}"
        )


def _as_pixels(values: NDArray[Any]) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
