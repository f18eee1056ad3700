"""Whether two images are one photograph: one is laid over the other, and their structure compared.

Whatever was cropped, mirrored, turned, resized, compressed or lit otherwise in between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.store import Reader

Floats = NDArray[np.float32]

# Images are compared with their longer side at so many pixels; some 130 KB of each are kept.
_SIDE, _FEATURES, _KEPT_IMAGES = 160, 200, 4_000
# The published ratio of 0.8 (Lowe 2004) is for sharp photographs; eyes have few corners.
_RATIO, _REACH_PX, _LEAST_CORNERS = 0.85, 4.0, 4
_LEAST_OVERLAP = 0.3
# Standard deviation of what counts as near. With 8 or 11, where eyes differ less, four times as
# many planted copies correlated less than the most alike of 14,000 pairs of different eyes.
_NEAR_PX = 5.0


@dataclass(frozen=True)
class Eye:
    """An image's structure (H, W), whatever its light, its corners (M, 2), descriptors (M, 128)."""

    structure: Floats
    corners: Floats
    descriptors: Floats


EyeReader = Callable[[str, bool], Eye | None]


def eye_reader(store: Reader, max_megapixels: float) -> EyeReader:
    """Gives an image by its id, mirrored if asked; None where it cannot be decoded."""

    def read(image_id: str, mirrored: bool) -> Eye | None:
        try:
            image = decode_image(store.read(image_id), max_megapixels=max_megapixels)
        except Undecodable:
            return None
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        size = [max(1, round(length * _SIDE / max(grey.shape))) for length in grey.shape[::-1]]
        shrinks = max(grey.shape) > _SIDE
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
        if mirrored:
            grey = np.ascontiguousarray(grey[:, ::-1])
        sift = cv2.SIFT.create(_FEATURES, contrastThreshold=0.01, edgeThreshold=20)
        found, descriptors = sift.detectAndCompute(grey, None)
        corners = np.array([one.pt for one in found], np.float32).reshape(-1, 2)
        luma = grey.astype(np.float32)
        detail = luma - cv2.GaussianBlur(luma, (0, 0), _NEAR_PX)
        # 4 grey levels keep noise on even skin from counting as structure.
        spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _NEAR_PX)) + 4
        return Eye(cv2.GaussianBlur(detail / spread, (0, 0), 1.0), corners, descriptors)

    return lru_cache(_KEPT_IMAGES)(read)


def match_pairs(
    records: Sequence[Mapping[str, str]], *, eye_of: EyeReader, threads: int
) -> list[dict[str, Any]]:
    """`match`, how well `image_id` or its mirror image lies on `other_id`, and `mirrored`."""

    def one(record: Mapping[str, str]) -> dict[str, Any]:
        other = eye_of(record["other_id"], False)
        found = [overlaid(eye_of(record["image_id"], flip), other) for flip in (False, True)]
        return {"match": max(found), "mirrored": found[1] > found[0]}

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, records))


def overlaid(one: Eye | None, other: Eye | None) -> float:
    """The correlation of structure where the first lies on the other; 0 where no place is found."""
    if one is None or other is None or (place := _place(one, other)) is None:
        return 0.0
    size = (other.structure.shape[1], other.structure.shape[0])
    there = cv2.warpAffine(np.ones_like(one.structure), place, size) > 0.99
    if there.mean() < _LEAST_OVERLAP:
        return 0.0
    left, right = cv2.warpAffine(one.structure, place, size)[there], other.structure[there]
    left, right = left - left.mean(), right - right.mean()
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right) + 1e-6))


def _place(one: Eye, other: Eye) -> Floats | None:
    """Where the first lies on the other, (2, 3): by corners that look alike (Lowe 2004, RANSAC)."""
    if min(len(one.corners), len(other.corners)) < _LEAST_CORNERS:
        return None
    nearest = cv2.BFMatcher().knnMatch(one.descriptors, other.descriptors, k=2)
    clear = [first for first, second in nearest if first.distance < _RATIO * second.distance]
    if len(clear) < _LEAST_CORNERS:
        return None
    place, inliers = cv2.estimateAffinePartial2D(
        one.corners[[found.queryIdx for found in clear]],
        other.corners[[found.trainIdx for found in clear]],
        method=cv2.RANSAC,
        ransacReprojThreshold=_REACH_PX,
        maxIters=500,
    )
    return None if place is None or inliers.sum() < _LEAST_CORNERS else place
