"""How open an eye is, where it looks and where its iris is, in images without masks.

A public network (`landmark_file`) marks lids and iris in a crop that shows one eye at a certain
size. The crop is found here: from a few first guesses on, the lids of each look place the next
crop. The network sees each crop and its mirror image. Where its two answers lie apart it has found
no eye: on photographs with masks this told right from wrong better than any sign in one answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.store import Store

GEOMETRY = (
    *("openness", "gaze_x"),
    *("iris_left_px", "iris_top_px", "iris_right_px", "iris_bottom_px"),
    *("glint", "disagreement"),
)

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]
# A crop (CROP_PX, CROP_PX, 3) to lids (16, 2) and iris (5, 2), as x and y in pixels of the crop.
# Lids: the lower one from the left corner to the right one (0 to 8), and the upper one between
# them (9 to 15). Iris: its middle, and four points of its rim.
Landmarks = Callable[[Pixels], tuple[Points, Points]]

CROP_PX = 64
# The side of a crop in widths of the eye at which repeated looks neither shrink nor grow.
_SIDE = 3.2
# The first crop's side over the image's longer side: an eye of half of it, of all, of a third.
_STARTS, _LOOKS = (1.5, 2.1, 1.0), 3
# In widths of the eye. With less disagreement no further start is tried; with more there is no eye.
_SURE, _MOST = 0.1, 0.15
# A larger image is made so small first: the network sees no more in its crop.
_LONGER_SIDE_PX = 192
# Steps of luma by which a reflection is brighter than the iris around it.
_GLINT_STEPS = 60

Measured = dict[str, float | None]


@dataclass(frozen=True)
class Eye:
    """An eye, in pixels of the image.

    Attributes:
        lids: (16, 2), in the order of `Landmarks`.
        iris: The middle of the iris, x and y.
        radius: Of the iris.
        disagreement: Distance between the iris as found in the crop and in its mirror image, in
            widths of the eye.
    """

    lids: Points
    iris: Points
    radius: float
    disagreement: float


def find_eye(image: Pixels, landmarks: Landmarks) -> Eye:
    """The eye that an image (H, W, 3) shows, or what looks most like one."""
    height, width = image.shape[:2]
    longer, found = max(height, width), []
    for start in _STARTS:
        middle, side, angle = np.array([width, height]) / 2, start * longer, 0.0
        for _ in range(_LOOKS):
            eye = _look(image, landmarks, middle=middle, side=side, angle=angle)
            across, down = eye.lids[8] - eye.lids[0]
            middle = eye.lids.mean(axis=0)
            side = float(np.clip(_SIDE * np.hypot(across, down), 0.25 * longer, 4 * longer))
            angle = float(np.clip(np.arctan2(down, across), -0.6, 0.6))
        found.append(eye)
        if eye.disagreement < _SURE:
            break
    return min(found, key=lambda one: one.disagreement)


def _look(image: Pixels, landmarks: Landmarks, *, middle: Points, side: float, angle: float) -> Eye:
    """What the network finds in a square around `middle`, of a side in px, turned by an angle."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    # Three times as large first, and then averaged, which warpAffine does not do.
    large = 3 * CROP_PX
    matrix = large / side * turn
    crop = cv2.warpAffine(
        image,
        np.column_stack([matrix, large / 2 - matrix @ middle]),
        (large, large),
        borderMode=cv2.BORDER_REPLICATE,
    )
    crop = cv2.resize(crop, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    straight, mirrored = landmarks(crop), landmarks(np.ascontiguousarray(crop[:, ::-1]))
    back, edge = np.array([-1, 1]), np.array([CROP_PX, 0])
    lids, iris = (edge + back * points for points in mirrored)
    # What is the left corner in the mirror is the right one.
    lids = np.concatenate([lids[8::-1], lids[:8:-1]])
    lids, irises = (straight[0] + lids) / 2, np.stack([straight[1], iris])
    scale = side / CROP_PX
    apart = np.linalg.norm(irises[0, 0] - irises[1, 0])
    radius = np.linalg.norm(irises[:, 1:] - irises[:, :1], axis=2).mean()
    lids, iris = (
        middle + scale * (points - CROP_PX / 2) @ turn for points in (lids, irises.mean(axis=0))
    )
    eye_width = np.linalg.norm(lids[8] - lids[0]) / scale
    return Eye(lids, iris[0], float(radius * scale), float(apart / (eye_width + 1e-9)))


def measure_eye(image: Pixels, landmarks: Landmarks) -> Measured:
    """Measures of the eye in an image (H, W, 3), by the names in `GEOMETRY`.

    - `openness`: distance of the lids amid the eye over the distance of its corners.
    - `gaze_x`: the iris from the middle of the eye, along the line of the corners, in half widths
      of the eye: -1 (left) to 1. Up and down is not told: beside masks it was found too badly.
    - `iris_left_px` to `iris_bottom_px`: the box of what image and lids leave of the iris.
    - `glint`: share of the iris within half its radius that is far brighter than the rest there.
    - `disagreement`: of `Eye`. Where it is too large, or the iris lies outside of the image, all
      else is null.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _LONGER_SIDE_PX / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
    eye = find_eye(small, landmarks)
    lids, (x, y), radius = eye.lids / scale, (eye.iris / scale).tolist(), eye.radius / scale
    measured: Measured = dict.fromkeys(GEOMETRY)
    measured["disagreement"] = eye.disagreement
    if eye.disagreement > _MOST or not (0 <= x < width and 0 <= y < height):
        return measured
    corners = lids[8] - lids[0]
    eye_width = float(np.linalg.norm(corners))
    along = corners / eye_width
    opening = (lids[3:6] - lids[11:14]).mean(axis=0) @ (-along[1], along[0])
    aside = ([x, y] - (lids[0] + lids[8]) / 2) @ along / (eye_width / 2)
    upper, lower = max(0.0, lids[:, 1].min()), min(height, lids[:, 1].max())
    left, right = np.clip([x - radius, x + radius], 0, width)
    top, bottom = max(upper, y - radius), min(lower, y + radius)
    disc = radius / 2 >= np.hypot(*np.ogrid[0.0 - x : width - x, 0.0 - y : height - y]).T
    disc[: round(upper)] = disc[max(0, round(lower)) :] = False
    return measured | {
        "openness": max(0.0, float(opening) / eye_width),
        "gaze_x": float(np.clip(aside, -1, 1)),
        "iris_left_px": float(left),
        "iris_top_px": float(top),
        "iris_right_px": float(right),
        "iris_bottom_px": float(bottom),
        "glint": _glint(image[disc]),
    }


def _glint(inner: Pixels) -> float | None:
    """Share of the inner iris (N, 3) that is far brighter than its median; null below 9 px."""
    if len(inner) < 9:
        return None
    luma = cv2.cvtColor(inner[None], cv2.COLOR_RGB2GRAY)
    return float((luma > np.median(luma) + _GLINT_STEPS).mean())


def measure_eyes(
    records: Sequence[Mapping[str, Any]],
    *,
    max_megapixels: float,
    store: Store,
    landmarks: Landmarks,
    threads: int,
) -> list[Measured]:
    """One record of `GEOMETRY` per image of a chunk (`image_id`); nulls where it is no image."""
    store.fetch(sorted({record["image_id"] for record in records}))

    def measure(record: Mapping[str, Any]) -> Measured:
        try:
            image = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
        except Undecodable:
            return dict.fromkeys(GEOMETRY)
        return measure_eye(image, landmarks)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(measure, records))
