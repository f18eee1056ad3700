"""Fits the full circle of an iris or a pupil of which lids and the image's edge leave a part."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Circle = tuple[float, float, float]
"""Centre x, centre y and radius."""

# Points of the outline that a circle is fitted to: the outline of a disc of 40 px radius has about
# 230.
_POINTS = 40
# Pairs of steps along the outline, as shares of its length. With a point each they give the three
# points of a candidate circle. Where lids cut the disc above and below, some triples lie on the two
# arcs between.
_TRIPLES = ((1 / 4, 1 / 2), (1 / 8, 1 / 2), (1 / 8, 1 / 4), (1 / 8, 5 / 8), (1 / 16, 9 / 16))
_LEAST_PIXELS = 30
# A point lies on a circle within a pixel's corner, or this share of the radius: drawn outlines are
# no better.
_TOLERANCE_PX = 0.75
_TOLERANCE = 0.03
# An outline of which this share lies on one circle is a whole disc and needs no search.
_WHOLE = 0.9
# A neighbour that shows the true rim (sclera beside iris) makes a point count as this many.
_RIM_WEIGHT = 3.0
# What a disc that hides more must earn: this share of all points for each radius by which it
# exceeds the part that is seen. Without it the flat side of a turned eye's ellipse passes for a
# huge circle.
_LARGER_COSTS = 0.3
# Parts under this share of the largest are specks.
_SPECK = 0.05
_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Disc:
    """A disc that is partly hidden."""

    x: float  # centre, pixels from the left
    y: float  # centre, pixels from the top
    radius_px: float  # radius of the whole disc
    visible_px: float  # area that is seen, in pixels; holes such as glints count as seen

    @property
    def visibility(self) -> float:
        """Share of the whole disc that is seen, 0 to 1."""
        return min(1.0, self.visible_px / (math.pi * self.radius_px**2))


def fit_disc(region: U8, *, beside: U8, frame: tuple[int, int, int, int]) -> Disc | None:
    """The full disc of which `region` is the visible part.

    The outline has true rim, lid, and cuts by the image's edge. Cuts are left out. Candidates
    through three points each (Fischler and Bolles, 1981, with fixed triples instead of drawn ones,
    so that equal masks give equal discs) are judged by how many points lie on them, points that
    touch `beside` counting threefold. Against them count points outside (a lid cuts a disc, but
    nothing of an iris lies beyond it), what they cover of `beside` (an iris is hidden by lids, not
    by sclera), and size. Points on the best one are then fitted by algebraic least squares (Taubin,
    1991).

    Args:
        region: (h, w), nonzero where the disc is seen.
        beside: (h, w), nonzero on what begins at the true rim: the sclera for an iris.
        frame: Left, top, right and bottom coordinate of the image's outermost pixels.

    Returns:
        The disc in coordinates of `region`, or None where too little is seen to fit one.
    """
    outlines, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # Pick's theorem: lattice points in a polygon, those on its outline included.
    areas = [cv2.contourArea(outline) + len(outline) / 2 + 1 for outline in outlines]
    largest = max(areas, default=0.0)
    if largest < _LEAST_PIXELS:
        return None
    parts = [one for one, area in zip(outlines, areas, strict=True) if area >= _SPECK * largest]
    visible = sum(area for area in areas if area >= _SPECK * largest)
    outline = np.concatenate(parts)
    points = _thinned(outline.reshape(-1, 2), frame)
    if len(points) < 8:
        return None
    (_, _), enclosing = cv2.minEnclosingCircle(outline)
    circle = _fit(points, beside=beside, least_radius=enclosing)
    if circle is None:
        return None
    x, y, radius = circle
    # Outlines run through the middle of the outermost pixels.
    return Disc(x=x, y=y, radius_px=radius + 0.5, visible_px=visible)


def _thinned(outline: NDArray[np.int32], frame: tuple[int, int, int, int]) -> NDArray[np.int32]:
    left, top, right, bottom = frame
    x, y = outline[:, 0], outline[:, 1]
    free = outline[(x > left) & (y > top) & (x < right) & (y < bottom)]
    if len(free) <= _POINTS:
        return free
    return free[np.arange(_POINTS) * len(free) // _POINTS]


def _fit(outline: NDArray[np.int32], *, beside: U8, least_radius: float) -> Circle | None:
    """Centre and radius, or None where all points lie on a line."""
    # The visible part lies in the disc, so its least enclosing circle is no larger, but for a
    # little where a turned eye shows an ellipse. A larger disc than the upper bound would be seen
    # to less than a tenth.
    low, high = 0.85 * least_radius, 1.8 * least_radius
    points = outline.astype(np.float64)
    whole = taubin_circle(points)
    if whole is not None and low <= whole[2] <= high and _lies_on(points, whole).mean() >= _WHOLE:
        return whole
    middle = points.sum(axis=0) / len(points)
    points = points - middle
    x, y, radius = _candidates(points)
    fitting = (radius >= low) & (radius <= high)
    x, y, radius = x[fitting], y[fitting], radius[fitting]
    if len(radius) == 0:
        return None
    weights = _weights(outline, beside)
    squares = _squared_distances(x, y, points)
    tolerance = np.maximum(_TOLERANCE_PX, _TOLERANCE * radius)
    inner, outer = (radius - tolerance) ** 2, (radius + tolerance) ** 2
    beyond_inner = squares >= inner[:, None]
    beyond_outer = squares > outer[:, None]
    score = (beyond_inner.view(np.int8) - 2 * beyond_outer.view(np.int8)) @ weights
    hidden = _sample(beside)
    if len(hidden):
        covered = _squared_distances(x, y, hidden - middle) < inner[:, None]
        score -= weights.sum() * covered.mean(axis=1)
    score -= _LARGER_COSTS * weights.sum() * np.maximum(0.0, radius / least_radius - 1)
    best = int(score.argmax())
    circle = float(x[best]), float(y[best]), float(radius[best])
    refined = taubin_circle(points[_lies_on(points, circle)])
    if refined is not None and low <= refined[2] <= high:
        circle = refined
    return circle[0] + float(middle[0]), circle[1] + float(middle[1]), circle[2]


def _weights(outline: NDArray[np.int32], beside: U8) -> F64:
    """(N,) what each point of the outline counts."""
    touching = cv2.dilate(beside, _NEIGHBOURS)[outline[:, 1], outline[:, 0]] > 0
    return np.where(touching, _RIM_WEIGHT, 1.0)


def _sample(beside: U8) -> F64:
    """(N, 2) some points of a region, evenly spaced in reading order."""
    points = cv2.findNonZero(beside)
    if points is None:
        return np.empty((0, 2))
    step = max(1, len(points) // _POINTS)
    sampled: F64 = points.reshape(-1, 2)[::step].astype(np.float64)
    return sampled


def _squared_distances(x: F64, y: F64, points: F64) -> F64:
    """(K, N) from K centres to N points; squared, since comparing them needs no root."""
    # |c - p|² = -2 c·p + |c|² + |p|², as one product of matrices.
    centres = np.stack([-2 * x, -2 * y, x * x + y * y, np.ones_like(x)], axis=1)
    across, down = points.T
    ones = np.ones_like(across)
    squared: F64 = centres @ np.stack([across, down, ones, across * across + down * down])
    return squared


def _lies_on(points: F64, circle: Circle) -> NDArray[np.bool_]:
    """Which points a circle passes, within a pixel's corner or 3% of its radius."""
    x, y, radius = circle
    off = points - (x, y)
    distance = np.sqrt((off * off).sum(axis=1)) - radius
    on_circle: NDArray[np.bool_] = np.abs(distance) <= max(_TOLERANCE_PX, _TOLERANCE * radius)
    return on_circle


@lru_cache(maxsize=_POINTS + 1)
def _triples(n: int) -> NDArray[np.intp]:
    """(3, n × len(_TRIPLES)) places along an outline of n points."""
    start = np.arange(n)
    steps = [(0, round(n * second), round(n * third)) for second, third in _TRIPLES]
    return np.stack([np.concatenate([(start + step[i]) % n for step in steps]) for i in range(3)])


def _candidates(points: F64) -> tuple[F64, F64, F64]:
    """Centres and radii of circles through three points each; no triple on a line is among them."""
    first, second, third = _triples(len(points))
    x, y = points[:, 0], points[:, 1]
    origin_x, origin_y = x[first], y[first]
    bx, by, cx, cy = (
        x[second] - origin_x,
        y[second] - origin_y,
        x[third] - origin_x,
        y[third] - origin_y,
    )
    cross = 2 * (bx * cy - by * cx)
    proper = np.abs(cross) > 1e-6
    cross[~proper] = np.inf
    bb, cc = bx * bx + by * by, cx * cx + cy * cy
    centre_x, centre_y = (cy * bb - by * cc) / cross, (bx * cc - cx * bb) / cross
    radius = np.sqrt(centre_x * centre_x + centre_y * centre_y)
    # Points on a line get a radius of nought, which no caller takes.
    return centre_x + origin_x, centre_y + origin_y, radius


def taubin_circle(points: F64) -> Circle | None:
    """The algebraic circle fit of Taubin (1991) to (N, 2) points, as by Chernov (2010).

    Less biased towards small circles than plain algebraic least squares where only an arc is seen.
    None for fewer than three points or points on a line.
    """
    if len(points) < 3:
        return None
    middle = points.sum(axis=0) / len(points)
    moments = np.empty((len(points), 3))
    centred = np.subtract(points, middle, out=moments[:, :2])
    np.einsum("ij,ij->i", centred, centred, out=moments[:, 2])
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = (moments.T @ moments / len(points)).tolist()
    mean_z = xx + yy
    covariance = xx * yy - xy**2
    if covariance <= 1e-9 * mean_z**2:
        return None
    a3 = 4 * mean_z
    a2 = -3 * mean_z**2 - zz
    spread_z = zz - mean_z**2
    a1 = spread_z * mean_z + 4 * covariance * mean_z - xz**2 - yz**2
    a0 = xz * (xz * yy - yz * xy) + yz * (yz * xx - xz * xy) - spread_z * covariance
    root = 0.0
    for _ in range(20):
        value = a0 + root * (a1 + root * (a2 + root * a3))
        slope = a1 + root * (2 * a2 + 3 * a3 * root)
        if slope == 0:
            break
        step = value / slope
        root -= step
        if abs(step) <= 1e-12 * max(1.0, abs(root)):
            break
    determinant = root**2 - root * mean_z + covariance
    if determinant == 0 or not math.isfinite(determinant):
        return None
    centre_x = (xz * (yy - root) - yz * xy) / determinant / 2
    centre_y = (yz * (xx - root) - xz * xy) / determinant / 2
    radius = math.sqrt(centre_x**2 + centre_y**2 + mean_z)
    return centre_x + float(middle[0]), centre_y + float(middle[1]), radius
