"""Measures of light, colour and detail of whole images, whatever they show."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from iip_assets.statistics.planes import U8, Planes

PIXEL_MEASURES = (
    "brightness",
    "contrast",
    "colour_cast",
    "cast_red_green",
    "cast_yellow_blue",
    "saturation",
    "clipped_shadows",
    "clipped_highlights",
    "unevenness",
    "sharpness",
    "noise",
)

# Luma up to here has lost its shadows, from there on its highlights: JPEG leaves few exact 0 and
# 255.
_SHADOW_UP_TO = 5
_HIGHLIGHT_FROM = 250
_GRID = 8


def pixel_measures(planes: Planes) -> Iterator[dict[str, float | None]]:
    """Measures of each whole image, by the names in `PIXEL_MEASURES`.

    Brightness, contrast and clipping are of luma at normal size, so that an image and its copy at
    another resolution compare.

    - `brightness`: mean luma, 0 to 255. `contrast`: its standard deviation (RMS contrast).
    - `colour_cast`: distance of the mean colour from grey in CIELAB; `cast_red_green` and
      `cast_yellow_blue` are the mean a* and b* (red and yellow positive). Skin alone is reddish, so
      that a cast is to be compared among images, not with zero.
    - `saturation`: mean HSV saturation, 0 to 1.
    - `clipped_shadows`, `clipped_highlights`: share of pixels at the ends of the scale.
    - `unevenness`, `sharpness`, `noise`: see the functions of that name.
    """
    light = _share_above(planes.normal, _SHADOW_UP_TO)
    burnt = _share_above(planes.normal, _HIGHLIGHT_FROM - 1)
    details = sharpness(planes.padded)
    noises = noise_sigma(planes.triples)
    for place, normal in enumerate(planes.normal):
        mean, spread = cv2.meanStdDev(normal)
        _, red_green, yellow_blue, _ = cv2.mean(planes.lab[place])
        # 128 is zero in the 8-bit coding.
        red_green, yellow_blue = red_green - 128.0, yellow_blue - 128.0
        yield {
            "brightness": mean.item(),
            "contrast": spread.item(),
            "colour_cast": math.hypot(red_green, yellow_blue),
            "cast_red_green": red_green,
            "cast_yellow_blue": yellow_blue,
            "saturation": cv2.mean(planes.hsv[place])[1] / 255.0,
            "clipped_shadows": 1.0 - light[place],
            "clipped_highlights": burnt[place],
            "unevenness": unevenness(normal),
            "sharpness": details[place],
            "noise": noises[place],
        }


def sharpness(padded: U8) -> list[float]:
    """Variance of the Laplacian of luma at normal size (Pech-Pacheco et al., 2000).

    Taken at one size, it says how much detail the frame holds, not how many pixels the camera has:
    a sharp image keeps its value when it is made smaller down to the normal size. An image below
    that size is interpolated and counts as the soft image that it is. Noise counts as detail.

    Args:
        padded: (K, h + 2, w) luma of K images, as in `Planes`.
    """
    tall = cv2.Laplacian(padded.reshape(-1, padded.shape[2]), cv2.CV_16S)
    responses = tall.reshape(padded.shape)[:, 1:-1]
    return [
        max(0.0, cv2.norm(response, cv2.NORM_L2SQR) / response.size - cv2.mean(response)[0] ** 2)
        for response in responses
    ]


def noise_sigma(triples: U8) -> list[float | None]:
    """Standard deviation of the noise in luma, in grey levels (Immerkær, 1996).

    The mean absolute response to the difference of two Laplacians, which image structure up to
    second order does not excite. Fine texture such as lashes reads as noise; clipped pixels hide
    it.

    Args:
        triples: (K, 3, R, W) luma of K images, as in `Planes`.

    Returns:
        Sigma, or None where the images are less than 3 pixels wide or high.
    """
    images, _, rows, width = triples.shape
    if rows == 0 or width < 3:
        return [None] * images
    # The mask is the outer product of (1, -2, 1) with itself: first down the columns, then along
    # the rows.
    above, centre, below = triples.astype(np.int16).swapaxes(0, 1)
    down = above + below - 2 * centre
    responses = down[..., :-2] + down[..., 2:] - 2 * down[..., 1:-1]
    scale, n = math.sqrt(math.pi / 2) / 6, responses[0].size
    return [scale * (cv2.norm(response, cv2.NORM_L1) / n) for response in responses]


def _share_above(normal: U8, level: int) -> list[float]:
    """Share of pixels above a level of luma, of each of (K, h, w)."""
    flat = normal.reshape(len(normal), -1)
    _, above = cv2.threshold(flat, level, 1, cv2.THRESH_BINARY)
    counts = cv2.reduce(above, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    shares: list[float] = (counts.ravel() / flat.shape[1]).tolist()
    return shares


def _plane_fit() -> np.ndarray:
    """(3, 64): takes means of 8x8 blocks to a plane's rise along x and along y, and its mean."""
    places = (np.arange(_GRID) + 0.5) / _GRID - 0.5
    x, y = np.meshgrid(places, places)
    unit = float((places**2).sum() * _GRID)
    return np.stack([x.ravel() / unit, y.ravel() / unit, np.full(_GRID**2, 1 / _GRID**2)])


_PLANE = _plane_fit()


def unevenness(normal: U8) -> float:
    """How much light falls off over the image (h, w), 0 to 1.

    0.5 means that one corner has three times the light of the opposite one, 0.6 four times.

    A plane is fitted to the means of 8x8 blocks; the measure is (most - least) / (most + least) of
    the plane (Michelson contrast). A plane, because a dark iris in a bright face is no uneven
    light, while a spread of block means would call it so.
    """
    blocks = cv2.resize(normal, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    along_x, along_y, mean = map(float, _PLANE @ blocks.ravel())
    if mean == 0:
        return 0.0
    return min(1.0, (abs(along_x) + abs(along_y)) / (2 * mean))
