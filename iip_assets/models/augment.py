"""What may differ between two images of one eye, as changes to a training image and its mask.

A change is here because cameras and people make it, and says so in `reason`; the report shows each
beside the image that it was made of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Matrix = NDArray[np.float64]

# What comes in from outside the image; the networks see it as 0.
_GREY = 127


@dataclass(frozen=True)
class Warp:
    """A change of geometry, which the mask undergoes with the image.

    Attributes:
        name: In a word or two.
        reason: What makes it outside of the training set.
        share: Of the images that undergo it.
        matrix: Width, height and a generator to the (3, 3) matrix from old places to new ones.
    """

    name: str
    reason: str
    share: float
    matrix: Callable[[int, int, np.random.Generator], Matrix]


@dataclass(frozen=True)
class Look:
    """A change of pixels alone: every place keeps its class.

    Attributes:
        name: In a word or two.
        reason: What makes it outside of the training set.
        share: Of the images that undergo it.
        change: An image (H, W, 3) and a generator to the changed image.
    """

    name: str
    reason: str
    share: float
    change: Callable[[Image, np.random.Generator], Image]


def augment(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """A changed copy of image (H, W, 3) and mask (H, W): each change in its share of cases.

    All warps are one interpolation. What comes in from outside the image is not labelled.
    """
    height, width = mask.shape
    matrix = np.eye(3)
    for warp in WARPS:
        if rng.random() < warp.share:
            matrix = warp.matrix(width, height, rng) @ matrix
    image, mask = warped(image, mask, matrix)
    for look in LOOKS:
        if rng.random() < look.share:
            image = look.change(image, rng)
    return image, mask


def warped(image: Image, mask: Mask, matrix: Matrix) -> tuple[Image, Mask]:
    """Image (H, W, 3) and mask (H, W) under one matrix (3, 3), at their own size."""
    size = (image.shape[1], image.shape[0])
    grey: Any = (_GREY, _GREY, _GREY)
    moved = cv2.warpPerspective(image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=grey)
    moved_mask = cv2.warpPerspective(
        mask, matrix, size, flags=cv2.INTER_NEAREST, borderValue=NOT_LABELLED
    )
    return np.asarray(moved, np.uint8), np.asarray(moved_mask, np.uint8)


def _mirror(width: int, _: int, __: np.random.Generator) -> Matrix:
    return np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])


def _turn(width: int, height: int, rng: np.random.Generator) -> Matrix:
    return _about_middle(
        width,
        height,
        np.vstack([cv2.getRotationMatrix2D((0, 0), rng.uniform(-30, 30), 1.0), [0, 0, 1]]),
    )


def _framing(width: int, height: int, rng: np.random.Generator) -> Matrix:
    zoom = float(np.exp(rng.uniform(-0.3, 0.3)))
    matrix = _about_middle(width, height, np.diag([zoom, zoom, 1.0]))
    matrix[:2, 2] += rng.uniform(-0.12, 0.12, 2) * (width, height)
    return matrix


def _viewpoint(width: int, height: int, rng: np.random.Generator) -> Matrix:
    squeeze = float(np.exp(rng.uniform(-0.2, 0.2)))
    shear = rng.uniform(-0.12, 0.12)
    matrix = np.array([[squeeze, shear, 0], [0, 1 / squeeze, 0], [0, 0, 1]])
    matrix[2, :2] = rng.uniform(-0.15, 0.15, 2) / (width, height)
    return _about_middle(width, height, matrix)


def _about_middle(width: int, height: int, matrix: Matrix) -> Matrix:
    there = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1.0]])
    return np.asarray(there @ matrix @ np.linalg.inv(there))


def _exposure(image: Image, rng: np.random.Generator) -> Image:
    gain = float(np.exp(rng.uniform(-0.9, 0.4)))
    gamma = float(np.exp(rng.uniform(-0.35, 0.35)))
    levels = 255 * np.clip((np.arange(256) / 255) ** gamma * gain, 0, 1)
    return _levels(image, levels[:, None])


def _contrast(image: Image, rng: np.random.Generator) -> Image:
    gain, offset = float(np.exp(rng.uniform(-0.4, 0.3))), rng.uniform(-30, 30)
    return _levels(image, (np.arange(256)[:, None] - 127.5) * gain + 127.5 + offset)


def _white_balance(image: Image, rng: np.random.Generator) -> Image:
    return _levels(image, np.arange(256)[:, None] * np.exp(rng.uniform(-0.2, 0.2, 3)))


def _colourless(image: Image, rng: np.random.Generator) -> Image:
    share = rng.uniform(0.5, 1.0)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None]
    return np.asarray(image + (grey.astype(np.float32) - image) * share, np.uint8)


def _uneven_light(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    towards = rng.uniform(0, 2 * np.pi)
    across = np.cos(towards) * np.linspace(-1, 1, width, dtype=np.float32)
    down = np.sin(towards) * np.linspace(-1, 1, height, dtype=np.float32)
    light = np.exp(rng.uniform(0.2, 0.7) * (across[None] + down[:, None]))[:, :, None]
    return np.asarray(np.clip(image * light, 0, 255), np.uint8)


def _defocus(image: Image, rng: np.random.Generator) -> Image:
    # Of the image's width, so that it is the same blur at every input size.
    sigma = max(0.5, image.shape[1] * rng.uniform(0.002, 0.009))
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def _motion(image: Image, rng: np.random.Generator) -> Image:
    length = max(3, round(image.shape[1] * rng.uniform(0.01, 0.035)))
    kernel = np.zeros((length, length), np.float32)
    towards = rng.uniform(0, np.pi)
    middle = (length - 1) / 2
    reach = np.array([np.cos(towards), np.sin(towards)]) * middle
    start, end = (tuple(round(middle + s * r) for r in reach) for s in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _noise(image: Image, rng: np.random.Generator) -> Image:
    sigma = rng.uniform(3, 14)
    grain = rng.normal(0, sigma, image.shape).astype(np.float32)
    return np.asarray(np.clip(image + grain, 0, 255), np.uint8)


def _jpeg(image: Image, rng: np.random.Generator) -> Image:
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80))]
    _, stream = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), quality)
    return np.asarray(cv2.imdecode(stream, cv2.IMREAD_COLOR_RGB), np.uint8)


def _glare(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    light = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        place = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radii = tuple(max(1, int(r)) for r in width * rng.uniform(0.006, 0.04, 2))
        cv2.ellipse(light, place, radii, rng.uniform(0, 180), 0, 360, rng.uniform(0.5, 1), -1)
    light = cv2.GaussianBlur(light, (0, 0), max(0.5, width * 0.004))[:, :, None]
    return np.asarray(image + (255.0 - image) * light, np.uint8)


def _levels(image: Image, levels: NDArray[Any]) -> Image:
    """The image with each level replaced, from (256, 1) or (256, 3) new ones."""
    table = np.clip(levels, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, np.broadcast_to(table[None], (1, 256, 3)).copy()), np.uint8)


WARPS = (
    Warp("mirror", "left and right eyes are mirror images", 0.5, _mirror),
    Warp("turn", "heads tilt and hand-held cameras turn", 0.35, _turn),
    Warp("framing", "eye detectors crop wider, closer or beside the eye", 0.4, _framing),
    Warp("viewpoint", "cameras look from above or the side, eyes look away", 0.2, _viewpoint),
)
LOOKS = (
    Look("uneven light", "a lamp or a window stands at one side", 0.1, _uneven_light),
    Look("exposure", "rooms are dark, flashes strong, sensors differ in gamma", 0.25, _exposure),
    Look("contrast", "haze on a lens and tone mapping flatten or stretch levels", 0.2, _contrast),
    Look("white balance", "lamps and sensors differ in colour", 0.25, _white_balance),
    Look("less colour", "infra-red and night images have little or no colour", 0.08, _colourless),
    Look("glare", "lamps, windows and glasses are mirrored in the eye", 0.08, _glare),
    Look("defocus", "the eye is nearer or farther than the focus", 0.1, _defocus),
    Look("motion", "people and hands move during the exposure", 0.05, _motion),
    Look("noise", "small sensors in little light are grainy", 0.12, _noise),
    Look("compression", "images are stored and sent as JPEG", 0.1, _jpeg),
)
