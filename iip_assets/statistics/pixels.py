"""Measures of light, colour and detail: of whole images, and of the border around the eye."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import cv2
import numpy as np

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.statistics.planes import NORMAL_SIDE_PX, U8, Planes

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

BORDER_MEASURES = (
    "background_edges",
    "background_brightness",
    "background_red_green",
    "background_yellow_blue",
)

# Width of the frame, as a share of the image's shorter side.
_FRAME = 0.15

# Lids and lashes around the marked eye, as a share of the image's longer side.
_LIDS = 1 / 16

# A frame with less left of it than this share of the image says nothing about the background.
_LEAST = 0.02

# A local range of luma above this share of the region's mean is an edge: a dark image has weaker
# edges …
_EDGE_SHARE = 0.15

# … but nothing below this many grey levels is, since noise and JPEG blocks reach it.
_EDGE_LEAST = 10.0
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_REACH = np.ones((2 * round(_LIDS * NORMAL_SIDE_PX) + 1,) * 2, np.uint8)


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
    it. None where the images are less than 3 pixels wide or high.
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


def border_measures(planes: Planes, regions: Sequence[U8]) -> Iterator[dict[str, float | None]]:
    """`BORDER_MEASURES` of each image's background; null where the eye fills the frame.

    - `background_edges`: share of the region where luma varies by more than 15% of the region's
    mean (and by more than 10 levels) within 3x3 pixels at normal size. - `background_brightness`:
    mean luma. `background_red_green`, `background_yellow_blue`: mean a* and b*.
    """
    tall = planes.padded.reshape(-1, planes.padded.shape[2])
    ranges = cv2.morphologyEx(tall, cv2.MORPH_GRADIENT, _NEIGHBOURS)
    ranges = ranges.reshape(planes.padded.shape)[:, 1:-1]
    height, width = planes.lab.shape[1:3]
    for normal, local_range, lab, region in zip(
        planes.normal, ranges, planes.lab, regions, strict=True
    ):
        n_pixels = cv2.countNonZero(region)
        if n_pixels < _LEAST * normal.size:
            yield dict.fromkeys(BORDER_MEASURES)
            continue
        brightness = cv2.sumElems(cv2.bitwise_and(normal, region))[0] / n_pixels
        threshold = max(_EDGE_LEAST, _EDGE_SHARE * brightness)
        _, edges = cv2.threshold(local_range, threshold, 255, cv2.THRESH_BINARY)
        sparse = cv2.resize(region, (width, height), interpolation=cv2.INTER_NEAREST)
        _, red_green, yellow_blue, _ = cv2.mean(lab, sparse)
        # A thin rest of the frame may fall between the sampled colours.
        has_colour = cv2.countNonZero(sparse) > 0
        yield {
            "background_edges": cv2.countNonZero(cv2.bitwise_and(edges, region)) / n_pixels,
            "background_brightness": brightness,
            "background_red_green": red_green - 128.0 if has_colour else None,
            "background_yellow_blue": yellow_blue - 128.0 if has_colour else None,
        }


def background_region(
    shape: tuple[int, int], mask: U8 | None, *, mask_classes: Sequence[str]
) -> U8:
    """(h, w): 255 where an image of this normal size shows what surrounds the eye.

    The region is a frame along the border; with a mask (of any size), less the marked eye, its lids
    and lashes, and what is not labelled. It is the same frame with and without a mask because the
    two must compare: on 1,240 eyes (350 photographed, 890 rendered), the word made of it is the
    same with and without its mask for 93%, whereas all of the background away from the eye gives
    the frame's word for 70%.
    """
    frame = frame_region(*shape)
    if mask is None:
        return frame
    return np.asarray(cv2.bitwise_and(frame, _away_from_eye(mask, shape, mask_classes)))


@lru_cache(maxsize=64)
def frame_region(height: int, width: int) -> U8:
    """(H, W): 255 along the border, 0 inside."""
    thickness = max(1, round(_FRAME * min(height, width)))
    region = np.full((height, width), 255, np.uint8)
    region[thickness:-thickness, thickness:-thickness] = 0
    region.setflags(write=False)
    return region


def _away_from_eye(mask: U8, shape: tuple[int, int], mask_classes: Sequence[str]) -> U8:
    """(h, w): 255 where the mask says background, and no eye is near."""
    small = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
    background = mask_classes.index("background") if "background" in mask_classes else 0
    labelled_background = cv2.inRange(small, background, background)
    # Not labelled is neither eye nor background: it counts for nothing, and has no lids around it.
    eye = cv2.bitwise_not(labelled_background | cv2.inRange(small, NOT_LABELLED, NOT_LABELLED))
    near = cv2.dilate(eye, _REACH)
    away: U8 = labelled_background & ~near
    return away
