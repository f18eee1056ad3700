"""Measures of light, colour and detail of one whole picture, whatever it shows."""

from __future__ import annotations

import math

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
# Rows that the noise is measured on; more of them would not make the estimate better.
_NOISE_ROWS = 32


def pixel_measures(planes: Planes) -> dict[str, float | None]:
    """Measures of a whole picture, by the names in `PIXEL_MEASURES`.

    Brightness, contrast and clipping are of luma at normal size, so that a picture and its copy at
    another resolution compare.

    - `brightness`: mean luma, 0 to 255. `contrast`: its standard deviation (RMS contrast).
    - `colour_cast`: distance of the mean colour from grey in CIELAB; `cast_red_green` and
      `cast_yellow_blue` are the mean a* and b* (red and yellow positive). Skin alone is reddish, so
      that a cast is to be compared among pictures, not with zero.
    - `saturation`: mean HSV saturation, 0 to 1.
    - `clipped_shadows`, `clipped_highlights`: share of pixels at the ends of the scale.
    - `unevenness`, `sharpness`, `noise`: see the functions of that name.
    """
    mean, spread = cv2.meanStdDev(planes.normal)
    n_pixels = planes.normal.size
    _, red_green, yellow_blue, _ = cv2.mean(planes.lab)
    # 128 is zero in the 8-bit coding.
    red_green, yellow_blue = red_green - 128.0, yellow_blue - 128.0
    _, light = cv2.threshold(planes.normal, _SHADOW_UP_TO, 1, cv2.THRESH_BINARY)
    _, burnt = cv2.threshold(planes.normal, _HIGHLIGHT_FROM - 1, 1, cv2.THRESH_BINARY)
    return {
        "brightness": float(mean[0, 0]),
        "contrast": float(spread[0, 0]),
        "colour_cast": math.hypot(red_green, yellow_blue),
        "cast_red_green": red_green,
        "cast_yellow_blue": yellow_blue,
        "saturation": cv2.mean(planes.hsv)[1] / 255.0,
        "clipped_shadows": 1.0 - cv2.countNonZero(light) / n_pixels,
        "clipped_highlights": cv2.countNonZero(burnt) / n_pixels,
        "unevenness": unevenness(planes.normal),
        "sharpness": sharpness(planes.normal),
        "noise": noise_sigma(planes.luma),
    }


def sharpness(normal: U8) -> float:
    """Variance of the Laplacian of luma at normal size (Pech-Pacheco et al., 2000).

    Taken at one size, it says how much detail the frame holds, not how many pixels the camera has:
    a sharp picture keeps its value when it is made smaller down to the normal size. A picture below
    that size is interpolated and counts as the soft picture that it is. Noise counts as detail.
    """
    response = cv2.Laplacian(normal, cv2.CV_16S)
    mean_square = cv2.norm(response, cv2.NORM_L2SQR) / response.size
    return max(0.0, float(mean_square - cv2.mean(response)[0] ** 2))


def noise_sigma(luma: U8) -> float | None:
    """Standard deviation of the noise in luma, in grey levels (Immerkær, 1996).

    The mean absolute response to the difference of two Laplacians, which image structure up to
    second order does not excite. Responses are taken on about 32 evenly spaced rows. Fine texture
    such as lashes reads as noise; clipped pixels hide it.

    Returns:
        Sigma, or None where the picture is less than 3 pixels wide or high.
    """
    height, width = luma.shape
    if height < 3 or width < 3:
        return None
    step = max(1, (height - 2) // _NOISE_ROWS)
    rows = len(range(0, height - 2, step))
    above, centre, below = (luma[offset::step][:rows].astype(np.int16) for offset in (0, 1, 2))
    # The mask is the outer product of (1, -2, 1) with itself: first down the columns, then along
    # the rows.
    down = above + below - 2 * centre
    response = down[:, :-2] + down[:, 2:] - 2 * down[:, 1:-1]
    mean_response = cv2.norm(response, cv2.NORM_L1) / response.size
    return math.sqrt(math.pi / 2) / 6 * float(mean_response)


def _plane_fit() -> np.ndarray:
    """(2, 64): takes the means of 8x8 blocks to the plane's rise over the picture along x and y."""
    places = (np.arange(_GRID) + 0.5) / _GRID - 0.5
    x, y = np.meshgrid(places, places)
    unit = float((places**2).sum() * _GRID)
    return np.stack([x.ravel() / unit, y.ravel() / unit])


_PLANE = _plane_fit()


def unevenness(normal: U8) -> float:
    """How much light falls off over the picture, 0 to 1.

    0.5 means that one corner has three times the light of the opposite one, 0.6 four times.

    A plane is fitted to the means of 8x8 blocks; the measure is (most - least) / (most + least) of
    the plane (Michelson contrast). A plane, because a dark iris in a bright face is no uneven
    light, while a spread of block means would call it so.
    """
    blocks = (
        cv2.resize(normal, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    )
    mean = float(blocks.mean())
    if mean == 0:
        return 0.0
    rise = float(np.abs(_PLANE @ blocks).sum())
    return min(1.0, rise / (2 * mean))
