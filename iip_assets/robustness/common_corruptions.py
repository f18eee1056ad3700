"""The corruptions of ImageNet-C (Hendrycks and Dietterich 2019), each a function of an image.

Strengths are those of the paper, lengths too where the longer side is 224 px; on other images they
grow with it. What differs: photographs of frost are replaced by drawn crystals, plasma by octaves
of noise, and the pixels of glass blur are looked up at random rather than swapped one by one.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from iip_assets.robustness.draws import (
    NORMAL_UNIT,
    Draws,
    Floats,
    Image,
    Ints,
    grid,
    pixels,
    sample,
)

_REFERENCE_PX = 224
_WEIGHT = 4096


def gaussian_noise(image: Image, severity: int, draws: Draws) -> Image:
    """Independent normal noise in each channel."""
    return with_noise(image, (20.4, 30.6, 45.9, 66.3, 96.9)[severity - 1], draws)


def with_noise(image: Image, levels: float, draws: Draws) -> Image:
    """The image with normal noise of a standard deviation in grey levels."""
    noise = draws.normal(*image.shape) * round(levels * 16)
    return pixels(image + ((noise + 8 * NORMAL_UNIT) // (16 * NORMAL_UNIT)))


def shot_noise(image: Image, severity: int, draws: Draws) -> Image:
    """Few photons: Poisson counts."""
    return with_shot_noise(image, (60, 25, 12, 5, 3)[severity - 1], draws)


def with_shot_noise(image: Image, photons: int, draws: Draws) -> Image:
    """The image as it is when white is so many photons."""
    counts = _poisson_table(photons)[image, draws.words(*image.shape) >> 4]
    return pixels((counts.astype(np.int32) * 255 + photons // 2) // photons)


@lru_cache(maxsize=16)
def _poisson_table(photons: int) -> NDArray[np.uint16]:
    """(256, 4096): the count of photons of each grey level at each quantile."""
    table = np.zeros((256, 4096), np.uint16)
    for level in range(256):
        mean = level * photons / 255
        chances = [math.exp(-mean)]
        while len(chances) <= mean + 8 * math.sqrt(mean) + 8:
            chances.append(chances[-1] * mean / len(chances))
        table[level] = np.searchsorted(np.cumsum(chances), (np.arange(4096) + 0.5) / 4096)
    return table


def impulse_noise(image: Image, severity: int, draws: Draws) -> Image:
    """Some values are black or white, in each channel."""
    share = (0.03, 0.06, 0.09, 0.17, 0.27)[severity - 1]
    word = draws.words(*image.shape)
    struck = round(share * 2**16)
    return np.where(word < struck // 2, np.uint8(0), np.where(word < struck, np.uint8(255), image))


def defocus_blur(image: Image, severity: int, draws: Draws) -> Image:
    """Out of focus: the mean over a disc."""
    del draws
    radius = max(1, round((3, 4, 6, 8, 10)[severity - 1] * _scale(image)))
    padded = np.pad(image, ((radius, radius), (radius + 1, radius), (0, 0)), mode="reflect")
    sums = np.cumsum(padded, axis=1, dtype=np.int32)
    height, width = image.shape[:2]
    total, count = np.zeros(image.shape, np.int32), 0
    for down in range(-radius, radius + 1):
        half = math.isqrt(radius**2 - down**2)
        rows = sums[radius + down : radius + down + height]
        end, start = radius + half + 1, radius - half
        total += rows[:, end : end + width] - rows[:, start : start + width]
        count += 2 * half + 1
    return pixels((total + count // 2) // count)


def glass_blur(image: Image, severity: int, draws: Draws) -> Image:
    """Seen through frosted glass: blurred, pixels moved about, blurred."""
    sigma, reach, times = ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2))[
        severity - 1
    ]
    reach = max(1, round(reach * _scale(image)))
    found = _soft(image, sigma * _scale(image))
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    for _ in range(times):
        down, across = draws.words(2, *image.shape[:2]).astype(np.int32) * (2 * reach + 1) // 2**16
        row = np.clip(rows + down - reach, 0, image.shape[0] - 1)
        found = found[row, np.clip(columns + across - reach, 0, image.shape[1] - 1)]
    return _soft(found, sigma * _scale(image))


def motion_blur(image: Image, severity: int, draws: Draws) -> Image:
    """The camera moved while the shutter was open."""
    radius, sigma = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))[severity - 1]
    angle = draws.between(-45, 45)
    return pixels(_smeared(image, radius * _scale(image), sigma * _scale(image), angle))


def _smeared(values: NDArray[np.uint8], radius: float, sigma: float, angle_deg: float) -> Ints:
    """Whole numbers (H, W, ...) drawn out along a direction, with weights of half a normal."""
    width = 2 * max(1, round(radius)) + 1
    weights = np.array([math.exp(-((step / sigma) ** 2) / 2) for step in range(width)])
    whole = np.rint(weights / weights.sum() * _WEIGHT).astype(np.int32)
    whole[0] += _WEIGHT - whole.sum()
    pads = [(width, width), (width, width), (0, 0)][: values.ndim]
    padded = np.pad(values, pads, mode="edge").astype(np.int32)
    down, across = math.sin(math.radians(angle_deg)), math.cos(math.radians(angle_deg))
    total = np.zeros(values.shape, np.int32)
    for step, weight in enumerate(whole):
        top, left = width + round(step * down), width + round(step * across)
        total += weight * padded[top : top + values.shape[0], left : left + values.shape[1]]
    return (total + _WEIGHT // 2) // _WEIGHT


def zoom_blur(image: Image, severity: int, draws: Draws) -> Image:
    """The camera came nearer while the shutter was open."""
    del draws
    end, step = ((11, 1), (16, 1), (21, 2), (26, 2), (31, 3))[severity - 1]
    x, y = grid(image.shape)
    middle_x, middle_y = (image.shape[1] - 1) / 2, (image.shape[0] - 1) / 2
    total, factors = image.astype(np.int32), range(100, 100 + end, step)
    for factor in factors:
        near = (x - middle_x) * 100 / factor + middle_x, (y - middle_y) * 100 / factor + middle_y
        total = total + sample(image, *near)
    return pixels((total + len(factors) // 2) // (len(factors) + 1))


def snow(image: Image, severity: int, draws: Draws) -> Image:
    """Flakes, drawn out by the wind, on a whitened image."""
    mean, spread, zoom, least, radius, sigma, kept = (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    )[severity - 1]
    scale, (height, width) = _scale(image), image.shape[:2]
    zoom = max(1.0, zoom * scale)
    coarse = draws.normal(math.ceil(height / zoom) + 1, math.ceil(width / zoom) + 1)
    x, y = grid(image.shape)
    drawn = sample(coarse, x / zoom, y / zoom) * round(spread * 255) // NORMAL_UNIT
    flakes = pixels(drawn + round(mean * 255))
    flakes[flakes < least * 255] = 0
    layer = _smeared(flakes, radius * scale, sigma * scale, draws.between(-135, -45))
    plain, part = image.astype(np.int32), round(kept * 256)
    grey = (plain @ np.array([77, 150, 29], np.int32) >> 8)[:, :, None]
    pale = (plain * part + np.maximum(plain, (grey * 3 + 255) // 2) * (256 - part)) // 256
    return pixels(pale + (layer + layer[::-1, ::-1])[:, :, None])


def frost(image: Image, severity: int, draws: Draws) -> Image:
    """Ice on the lens: crystals along the ridges of noise."""
    kept, ice = ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))[severity - 1]
    ridges = 2 * np.abs(_plasma(image.shape, 1.5, draws) - 128)
    crystals = np.clip(232 - ridges, 30, 225)[:, :, None] + np.array([-14, 0, 14])
    return pixels((image.astype(np.int32) * round(kept * 256) + crystals * round(ice * 256)) // 256)


def fog(image: Image, severity: int, draws: Draws) -> Image:
    """Mist in clouds of all sizes; the whitest is no whiter than the image was."""
    strength, decay = ((1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))[severity - 1]
    mist, whitest = _plasma(image.shape, decay**2, draws), int(image.max())
    thick = round(strength * 256)
    lit = image.astype(np.int64) * 256 + (thick * mist)[:, :, None]
    return pixels(lit * whitest // max(1, whitest * 256 + thick * 255))


def _plasma(shape: tuple[int, ...], decay: float, draws: Draws) -> Ints:
    """(H, W) from 0 to 255: octaves of noise, each finer and this much weaker."""
    x, y = grid(shape)
    longer, weight = max(shape[:2]), float(2**12)
    total, cells = np.zeros(shape[:2], np.int64), 2
    while cells <= longer and weight >= 1:
        coarse = draws.words(cells + 1, cells + 1) >> 4
        total += sample(coarse, x * cells / longer, y * cells / longer) * round(weight)
        cells, weight = 2 * cells, weight / decay
    low, high = int(total.min()), int(total.max())
    return np.asarray((total - low) * 255 // max(1, high - low), np.int32)


def brightness(image: Image, severity: int, draws: Draws) -> Image:
    """More light: the value of HSV is raised."""
    del draws
    was = image.max(axis=2, keepdims=True).astype(np.int32)
    now = np.minimum(was + round((0.1, 0.2, 0.3, 0.4, 0.5)[severity - 1] * 255), 255)
    return pixels(np.where(was == 0, now, (image * now + was // 2) // np.maximum(was, 1)))


def contrast(image: Image, severity: int, draws: Draws) -> Image:
    """Less contrast about the mean of each channel."""
    del draws
    kept = round((0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1] * 1024)
    means = image.sum(axis=(0, 1), dtype=np.int64) // (image.shape[0] * image.shape[1])
    return pixels(((image - means) * kept + 512) // 1024 + means)


def elastic_transform(shape: tuple[int, ...], severity: int, draws: Draws) -> tuple[Floats, Floats]:
    """Small stretches everywhere: from where, x and y (H, W), each pixel comes."""
    most = (0.0625, 0.08125, 0.10625, 0.125, 0.15)[severity - 1] * shape[0]
    sigma = 0.01 * max(shape[:2])
    moves = [(_soft(draws.words(*shape[:2]), sigma) - 32767.5) / 32767.5 * most for _ in range(2)]
    x, y = grid(shape)
    return x + moves[0], y + moves[1]


def pixelate(image: Image, severity: int, draws: Draws) -> Image:
    """Made smaller, and as large as before by repeating pixels."""
    del draws
    share = (0.6, 0.5, 0.4, 0.3, 0.25)[severity - 1]
    height, width = image.shape[:2]
    opened = PillowImage.fromarray(image)
    small = opened.resize(
        (max(1, int(width * share)), max(1, int(height * share))), PillowImage.Resampling.BOX
    )
    return np.asarray(small.resize((width, height), PillowImage.Resampling.NEAREST))


def jpeg_compression(image: Image, severity: int, draws: Draws) -> Image:
    """Saved with strong compression."""
    del draws
    file = io.BytesIO()
    quality = (25, 18, 15, 10, 7)[severity - 1]
    PillowImage.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(file).convert("RGB"))


def _scale(image: Image) -> float:
    return float(max(image.shape[:2]) / _REFERENCE_PX)


def _soft(values: NDArray[np.uint8] | NDArray[np.uint16], sigma: float) -> NDArray[np.uint8]:
    """Blurred by a Gaussian, in OpenCV's fixed-point arithmetic."""
    return np.asarray(
        cv2.GaussianBlur(values, (0, 0), sigma, hint=cv2.ALGO_HINT_ACCURATE), values.dtype
    )


COMMON: Mapping[str, Callable[[Image, int, Draws], Image]] = {
    one.__name__: one
    for one in (
        *(gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur),
        *(zoom_blur, snow, frost, fog, brightness, contrast, pixelate, jpeg_compression),
    )
}
"""By name; `elastic_transform` is none of them, as the mask moves with it."""
