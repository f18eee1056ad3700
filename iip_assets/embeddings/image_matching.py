"""Whether two images are one photograph: one is laid over the other, and their structure compared.

Whatever was cropped, mirrored, turned, resized, compressed or lit otherwise in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.store import Reader

Floats = NDArray[np.float32]

# Images are compared with their longer side at so many pixels.
_SIDE = 160
_FEATURES, _KEPT_IMAGES = 200, 20_000
# The published ratio of 0.8 (Lowe 2004) is for sharp photographs; eyes have few corners.
_RATIO, _REACH_PX, _LEAST_INLIERS = 0.85, 4.0, 4
_LEAST_OVERLAP, _LARGEST_SCALE = 0.3, 2.0
# Standard deviation of what counts as near. With 8 or 11, where eyes differ less, four times as
# many planted copies correlated less than the most alike of 14,000 pairs of different eyes.
_NEAR_PX = 5.0


@dataclass(frozen=True)
class _Eye:
    """An image, ready to be laid over others: grey (H, W), corners (M, 2), descriptors (M, 128)."""

    grey: NDArray[np.uint8]
    corners: Floats
    descriptors: NDArray[np.uint8]

    @staticmethod
    def of(grey: NDArray[np.uint8]) -> _Eye:
        sift = cv2.SIFT.create(_FEATURES, contrastThreshold=0.01, edgeThreshold=20)
        found, descriptors = sift.detectAndCompute(grey, None)
        corners = np.array([one.pt for one in found], np.float32).reshape(-1, 2)
        if descriptors is None:
            descriptors = np.empty((0, 128))
        return _Eye(grey, corners, descriptors.astype(np.uint8))

    @property
    def plane(self) -> Floats:
        """Its structure, whatever its light: luma over its local mean and spread."""
        luma = self.grey.astype(np.float32)
        detail = luma - cv2.GaussianBlur(luma, (0, 0), _NEAR_PX)
        # 4 grey levels keep noise on even skin from counting as structure.
        spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _NEAR_PX)) + 4
        return np.asarray(cv2.GaussianBlur(detail / spread, (0, 0), 1.0))


def eye_reader(store: Reader, max_megapixels: float) -> Callable[[str], _Eye | None]:
    """Gives prepared images by id; the last 20,000 stay, with some 30 KB each."""

    def read(image_id: str) -> _Eye | None:
        try:
            return prepared(decode_image(store.read(image_id), max_megapixels=max_megapixels))
        except Undecodable:
            return None

    return lru_cache(_KEPT_IMAGES)(read)


def prepared(image: NDArray[np.uint8]) -> _Eye:
    """An RGB image (H, W, 3), its longer side at 160 px."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    scale = _SIDE / max(grey.shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = [max(1, round(length * scale)) for length in grey.shape[::-1]]
    return _Eye.of(np.asarray(cv2.resize(grey, size, interpolation=how)))


def match_pairs(
    records: Sequence[Mapping[str, str]], *, eye_of: Callable[[str], _Eye | None], threads: int
) -> list[dict[str, Any]]:
    """What `match` gives for each pair of `image_id` and `other_id`."""

    def of_one(records: list[Mapping[str, str]]) -> list[dict[str, Any]]:
        eye = eye_of(records[0]["image_id"])
        others = [eye_of(record["other_id"]) for record in records]
        if eye is None:
            return [match(None, None, None)] * len(others)
        mirrored = _Eye.of(np.ascontiguousarray(eye.grey[:, ::-1]))
        return [match(eye, mirrored, other) for other in others]

    groups = [list(group) for _, group in groupby(records, key=lambda one: one["image_id"])]
    with ThreadPoolExecutor(threads) as pool:
        return [one for group in pool.map(of_one, groups) for one in group]


def match(eye: _Eye | None, mirrored: _Eye | None, other: _Eye | None) -> dict[str, Any]:
    """How well the better of an image and its mirror image fits on another.

    Returns:
        `match`, the correlation of the structure where both lie on each other, 0 where no place
        was found; `mirrored`; `scale` and `turned_degrees` of the first on the other.
    """
    found = {"match": 0.0, "mirrored": False, "scale": 1.0, "turned_degrees": 0.0}
    for flipped, one in ((False, eye), (True, mirrored)):
        if one is None or other is None or (place := _place(one, other)) is None:
            continue
        value, place = _correlation(one.plane, other.plane, place)
        if value > found["match"]:
            a, b = float(place[0, 0]), float(place[1, 0])
            turned = math.degrees(math.atan2(b, a))
            found = {"match": value, "mirrored": flipped, "scale": math.hypot(a, b)}
            found["turned_degrees"] = turned
    return found


def _place(one: _Eye, other: _Eye) -> Floats | None:
    """Where the first lies on the other, (2, 3): by corners that look alike (Lowe 2004, RANSAC)."""
    if min(len(one.corners), len(other.corners)) < _LEAST_INLIERS:
        return None
    left, right = (_unit(eye.descriptors) for eye in (one, other))
    distances = np.sqrt(np.maximum(2 - 2 * left @ right.T, 0))
    two = np.argpartition(distances, 1, axis=1)[:, :2]
    near = np.take_along_axis(distances, two, axis=1)
    clear = near.min(1) < _RATIO * near.max(1)
    if clear.sum() < _LEAST_INLIERS:
        return None
    best = two[np.arange(len(two)), near.argmin(1)]
    place, inliers = cv2.estimateAffinePartial2D(
        one.corners[clear],
        other.corners[best[clear]],
        method=cv2.RANSAC,
        ransacReprojThreshold=_REACH_PX,
        maxIters=500,
    )
    if place is None or inliers.sum() < _LEAST_INLIERS:
        return None
    scale = math.hypot(place[0, 0], place[1, 0])
    return place if 1 / _LARGEST_SCALE < scale < _LARGEST_SCALE else None


def _unit(descriptors: NDArray[np.uint8]) -> Floats:
    floats = descriptors.astype(np.float32)
    lengths = np.linalg.norm(floats, axis=1, keepdims=True)
    return np.asarray(floats / np.maximum(lengths, 1e-6))


def _correlation(one: Floats, other: Floats, place: Floats) -> tuple[float, Floats]:
    """The correlation where the first lies on the other, and its place after a last adjustment."""
    value = _on_each_other(one, other, place)
    if value > 0.4:
        try:
            # ECC, Evangelidis and Psarakis 2008; it looks from the other to the first.
            back = cv2.invertAffineTransform(place).astype(np.float32)
            stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 1e-4)
            back = cv2.findTransformECC(other, one, back, cv2.MOTION_AFFINE, stop, None, 5)[1]
            adjusted = cv2.invertAffineTransform(back)
            better = _on_each_other(one, other, adjusted)
        except cv2.error:  # it did not converge
            return value, place
        if better > value:
            return better, adjusted
    return value, place


def _on_each_other(one: Floats, other: Floats, place: Floats) -> float:
    size = (other.shape[1], other.shape[0])
    there = cv2.warpAffine(np.ones_like(one), place, size) > 0.99
    if there.mean() < _LEAST_OVERLAP:
        return 0.0
    left, right = cv2.warpAffine(one, place, size)[there], other[there]
    left, right = left - left.mean(), right - right.mean()
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right) + 1e-6))
