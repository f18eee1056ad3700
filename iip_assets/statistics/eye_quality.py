"""Measures of the eye itself, from an image's luma and a given mask."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.statistics.circle import Disc, fit_disc
from iip_assets.statistics.planes import U8

EYE_MEASURES = (
    "iris_visibility",
    "iris_sclera_contrast",
    "iris_pupil_contrast",
    "pupil_ratio",
    "gaze_x",
    "gaze_y",
    "iris_radius_px",
    "iris_margin",
)

# Codes of the parts that matter here, whatever their index in the set's masks; other classes are 0.
_SCLERA, _IRIS, _PUPIL = 1, 2, 3
# Of rings: that of the iris beside the pupil; the other is `_IRIS`.
_INNER_IRIS = 4
# A part of fewer pixels gives no median to rely on.
_LEAST_PIXELS = 10
# Medians are taken on about this many pixels along the longer side of the eye.
_MEDIAN_SIDE_PX = 160


def eye_measures(
    luma: U8, mask: U8 | None, *, mask_classes: Sequence[str]
) -> dict[str, float | None]:
    """Measures of the eye, by the names in `EYE_MEASURES`; null where a mask or a class is missing.

    - `iris_visibility`: visible area of iris and pupil over the area of the fitted full disc, 0 to
    1 (compare "usable iris area" of ISO/IEC 29794-6:2015); 0 where the mask shows none. A set that
    marks no pupil may leave it out of the iris or paint it over: holes count as seen. -
    `iris_sclera_contrast`: (S - I) / (S + I) of the medians of luma (Michelson), 0 to 1; 0 where
    the sclera is no lighter than the iris. Of the rings of ISO/IEC 29794-6:2015, 6.2.2: sclera from
    1.1 to 1.2 radii of the iris, iris from half-way between pupil and rim to 0.9 radii. The
    standard takes the pupil for black level; here it is left out, so that images with and without a
    marked pupil compare. - `iris_pupil_contrast`: w / (0.75 + w), where w = (I - P) / (20 + P), of
    the medians of luma; 0 to 1, and 0 where the iris is no lighter than the pupil (the Weber
    contrast of ISO/IEC 29794-6:2015, 6.2.3). Of the pupil within 0.8 of its radius, and the iris
    from 1.1 radii of the pupil to half-way to the rim. - `pupil_ratio`: diameter of the pupil's
    fitted circle over the iris's. - `gaze_x`, `gaze_y`: the iris's centre in the box around the eye
    opening, -1 (left, top) to 1. - `iris_radius_px`: radius of the iris's fitted circle, in pixels
    of the image. - `iris_margin`: least distance of that circle from the image's edge, in radii;
    negative where it is cut.

    Args:
        luma: (H, W) of the image.
        mask: (H, W) class index per pixel, 255 where not labelled, or None.
        mask_classes: The classes' names, by index.
    """
    nothing: dict[str, float | None] = dict.fromkeys(EYE_MEASURES)
    if mask is None or "iris" not in mask_classes:
        return nothing
    # What is no background holds the eye, and where background is 0 a look at the rest is enough.
    outer = cv2.boundingRect(mask)
    parts = cv2.LUT(_cut(mask, outer), _codes(tuple(mask_classes)))
    inner = cv2.boundingRect(parts)
    left, top, width, height = outer[0] + inner[0], outer[1] + inner[1], inner[2], inner[3]
    if width == 0:
        return nothing | {"iris_visibility": 0.0}
    frame = (-left, -top, mask.shape[1] - 1 - left, mask.shape[0] - 1 - top)
    parts = np.ascontiguousarray(_cut(parts, inner))
    sclera = cv2.inRange(parts, _SCLERA, _SCLERA)
    iris_and_pupil = cv2.inRange(parts, _IRIS, _PUPIL)
    iris = fit_disc(iris_and_pupil, beside=sclera, frame=frame)
    if iris is None:
        seen = cv2.countNonZero(iris_and_pupil)
        return nothing | {"iris_visibility": None if seen else 0.0}
    pupil_alone = cv2.inRange(parts, _PUPIL, _PUPIL)
    iris_alone = cv2.bitwise_xor(iris_and_pupil, pupil_alone)
    pupil = fit_disc(pupil_alone, beside=iris_alone, frame=frame)
    gaze_x, gaze_y = _gaze(iris, sclera)
    medians = _medians(_cut(luma, (left, top, width, height)), parts, iris, pupil)
    return {
        "iris_visibility": iris.visibility,
        "iris_sclera_contrast": _michelson(medians[_SCLERA], medians[_IRIS]),
        "iris_pupil_contrast": _weber(medians[_INNER_IRIS], medians[_PUPIL]),
        "pupil_ratio": min(1.0, pupil.radius_px / iris.radius_px) if pupil else None,
        "gaze_x": gaze_x,
        "gaze_y": gaze_y,
        "iris_radius_px": iris.radius_px,
        "iris_margin": _margin(iris, frame),
    }


@lru_cache(maxsize=8)
def _codes(mask_classes: tuple[str, ...]) -> U8:
    codes = np.zeros(256, np.uint8)
    for name, code in (("sclera", _SCLERA), ("iris", _IRIS), ("pupil", _PUPIL)):
        if name in mask_classes:
            codes[mask_classes.index(name)] = code
    codes.setflags(write=False)
    return codes


def _cut(plane: U8, box: Sequence[int]) -> U8:
    """The part of a plane in a box of left, top, width and height."""
    left, top, width, height = box
    return plane[top : top + height, left : left + width]


def _medians(eye: U8, parts: U8, iris: Disc, pupil: Disc | None) -> dict[int, float | None]:
    """Median luma of what is seen of each ring, from one joint histogram of ring and luma."""
    step = max(1, max(eye.shape) // _MEDIAN_SIDE_PX)
    pairs = np.left_shift(_rings(parts, step, iris, pupil), 8, dtype=np.uint16)
    pairs |= eye[::step, ::step]
    counts = np.bincount(pairs.ravel(), minlength=5 * 256).reshape(5, 256)
    return {code: _median(counts[code]) for code in (_SCLERA, _IRIS, _PUPIL, _INNER_IRIS)}


def _rings(parts: U8, step: int, iris: Disc, pupil: Disc | None) -> U8:
    """The ring that each `step`-th pixel lies in, 0 for none; `_IRIS` is the outer one of two."""
    seen = np.ascontiguousarray(parts[::step, ::step])
    from_iris = _squares(seen, step, iris)
    middle = ((1 + (pupil.radius_px / iris.radius_px if pupil else 0)) / 2) ** 2
    rings = np.zeros_like(seen)
    rings[(seen == _SCLERA) & (from_iris >= 1.1**2) & (from_iris <= 1.2**2)] = _SCLERA
    of_iris = seen == _IRIS
    rings[of_iris & (from_iris >= middle) & (from_iris <= 0.9**2)] = _IRIS
    if pupil is not None:
        from_pupil = _squares(seen, step, pupil)
        rings[(seen == _PUPIL) & (from_pupil <= 0.8**2)] = _PUPIL
        rings[of_iris & (from_pupil >= 1.1**2) & (from_iris < middle)] = _INNER_IRIS
    return rings


def _squares(plane: U8, step: int, disc: Disc) -> NDArray[np.float32]:
    """Squared distance of each `step`-th pixel from the middle of a disc, in its radii."""
    height, width = plane.shape
    across = (np.arange(width, dtype=np.float32) * step - disc.x) / disc.radius_px
    down = (np.arange(height, dtype=np.float32) * step - disc.y) / disc.radius_px
    return np.asarray(across[None] ** 2 + down[:, None] ** 2, np.float32)


def _median(counts: NDArray[np.intp]) -> float | None:
    reached = counts.cumsum()
    n = int(reached[-1])
    if n < _LEAST_PIXELS:
        return None
    low, high = reached.searchsorted([(n + 1) // 2, n // 2 + 1]).tolist()
    return float(low + high) / 2


def _michelson(sclera: float | None, iris: float | None) -> float | None:
    if sclera is None or iris is None:
        return None
    return max(0.0, sclera - iris) / (sclera + iris) if sclera + iris > 0 else 0.0


def _weber(iris: float | None, pupil: float | None) -> float | None:
    if iris is None or pupil is None:
        return None
    weber = max(0.0, iris - pupil) / (20 + pupil)
    return weber / (0.75 + weber)


def _gaze(iris: Disc, sclera: U8) -> tuple[float | None, float | None]:
    """Where the iris stands in the opening, or nulls where the set marks no sclera."""
    if cv2.countNonZero(sclera) < _LEAST_PIXELS:
        return None, None
    height, width = sclera.shape
    x = (iris.x - (width - 1) / 2) / (width / 2)
    y = (iris.y - (height - 1) / 2) / (height / 2)
    return min(1.0, max(-1.0, x)), min(1.0, max(-1.0, y))


def _margin(iris: Disc, frame: tuple[int, int, int, int]) -> float:
    left, top, right, bottom = frame
    distance = min(iris.x - left, iris.y - top, right - iris.x, bottom - iris.y) + 0.5
    return (distance - iris.radius_px) / iris.radius_px
