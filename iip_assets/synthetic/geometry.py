"""Where the lids, the iris and the pupil are in the frame: pure coordinates, no colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from iip_assets.synthetic.parameters import Anatomy, EyeParameters, Pose

Plane = NDArray[np.float32]
Box = tuple[slice, slice]

EYEBALL_RADIUS = 0.82  # 12.3 mm of an eye 30 mm wide, in half eye widths
CURVE_REACH, CURVE_STEPS = 2.5, 384  # the lid curves are tabulated over u = -2.5..2.5


@lru_cache(maxsize=8)
def _pixel_centres(height: int, width: int) -> tuple[Plane, Plane]:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x + np.float32(0.5), y + np.float32(0.5)


@dataclass(frozen=True)
class Frame:
    """The map between pixels and the eye's own coordinates.

    `u` runs from the inner corner (-1) to the outer one (1), `v` upwards; both in half eye widths.
    """

    height: int
    width: int
    centre_x_px: float
    centre_y_px: float
    unit_px: float
    cosine: float
    sine: float
    mirror: float

    @classmethod
    def of(cls, pose: Pose, height: int, width: int) -> Frame:
        """The frame of `height` x `width` pixels in which `pose` was taken."""
        return cls(
            height=height,
            width=width,
            centre_x_px=pose.centre_x * width,
            centre_y_px=pose.centre_y * height,
            unit_px=pose.scale * width,
            cosine=float(np.cos(pose.roll_rad)),
            sine=float(np.sin(pose.roll_rad)),
            mirror=1.0 if pose.side == "left" else -1.0,
        )

    def eye_coordinates(self, box: Box, step: int = 1) -> tuple[Plane, Plane]:
        """(u, v) at each pixel centre of the box, or at each `step`-th block of the whole frame."""
        if step == 1:
            x, y = _pixel_centres(self.height, self.width)
            x, y = x[box], y[box]
        else:
            x, y = _pixel_centres(-(-self.height // step), -(-self.width // step))
            x, y = x * np.float32(step), y * np.float32(step)
        right = (x - np.float32(self.centre_x_px)) / np.float32(self.unit_px)
        up = (np.float32(self.centre_y_px) - y) / np.float32(self.unit_px)
        c, s, m = np.float32(self.cosine), np.float32(self.sine), np.float32(self.mirror)
        return (right * c + up * s) * m, up * c - right * s

    def to_pixels(self, u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.float32]:
        """Points (..., 2) in pixels, x then y, of points given in the eye's coordinates."""
        along = u * self.mirror
        x = self.centre_x_px + self.unit_px * (along * self.cosine - v * self.sine)
        y = self.centre_y_px - self.unit_px * (along * self.sine + v * self.cosine)
        return np.stack([x, y], axis=-1).astype(np.float32)

    def box(self, u: tuple[float, float], v: tuple[float, float]) -> Box | None:
        """The pixels that a rectangle of eye coordinates may cover; None when out of frame."""
        corners = self.to_pixels(np.array([u[0], u[0], u[1], u[1]]), np.array([v[0], v[1]] * 2))
        left, top = np.floor(corners.min(axis=0)).astype(int)
        right, bottom = np.ceil(corners.max(axis=0)).astype(int)
        left, right = max(left, 0), min(right, self.width)
        top, bottom = max(top, 0), min(bottom, self.height)
        return None if left >= right or top >= bottom else (slice(top, bottom), slice(left, right))


@dataclass(frozen=True)
class Curve:
    """A height v over u as a table, with the factor that turns a vertical into a true distance."""

    height: Plane
    squeeze: Plane

    @classmethod
    def of(cls, height: NDArray[np.floating]) -> Curve:
        """The table of the heights at `curve_places()`."""
        slope = np.gradient(height, 1 / CURVE_STEPS)
        return cls(height.astype(np.float32), (1 / np.hypot(1, slope)).astype(np.float32))

    def above(self, places: NDArray[np.intp], v: Plane, unit_px: float) -> Plane:
        """Distance in pixels by which (places, v) lies above the curve, negative below it."""
        distance = v - self.height.take(places)
        distance *= (self.squeeze * np.float32(unit_px)).take(places)
        return distance

    def at(self, u: NDArray[np.floating]) -> Plane:
        """The height at each u."""
        return self.height[curve_index(u)]


def curve_places() -> NDArray[np.float64]:
    """The u at which a `Curve` is tabulated."""
    return np.arange(int(2 * CURVE_REACH * CURVE_STEPS) + 1) / CURVE_STEPS - CURVE_REACH


def curve_index(u: NDArray[np.floating]) -> NDArray[np.intp]:
    """The entry of a `Curve` that stands for each u."""
    places = (u + CURVE_REACH) * CURVE_STEPS
    return np.asarray(np.clip(places, 0, 2 * CURVE_REACH * CURVE_STEPS).astype(np.intp))


@dataclass(frozen=True)
class Lids:
    """The edges of the lids as they are in the shot, and the crease over the upper one."""

    upper: Curve
    lower: Curve
    crease: Curve


@lru_cache(maxsize=8)
def _arch(reach: float, rise: float, fall: float) -> NDArray[np.float64]:
    """A bump over -reach..reach with peak 1 that leaves the ends as t**rise and (1-t)**fall."""
    t = np.clip((curve_places() / reach + 1) / 2, 0, 1)
    peak = rise / (rise + fall)
    return np.asarray(t**rise * (1 - t) ** fall / (peak**rise * (1 - peak) ** fall))


@lru_cache(maxsize=1)
def _ends() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(u, distance beyond the corners, weight of the outer half)."""
    u = curve_places()
    return u, np.maximum(np.abs(u) - 1, 0), np.clip((u - 0.1) / 0.9, 0, 1) ** 1.5


@lru_cache(maxsize=1)
def _inner_fold() -> NDArray[np.float64]:
    return np.asarray(np.exp(-(((curve_places() + 0.86) / 0.17) ** 2)))


def lid_curves(anatomy: Anatomy, pose: Pose) -> Lids:
    """The lids: they meet at aperture 0, and the upper one follows the gaze up and down."""
    u, beyond, outer = _ends()
    line = anatomy.tilt * np.clip(u, -1.3, 1.3)
    upper_height = anatomy.upper_height + 0.42 * pose.gaze_y_rad * anatomy.iris_radius
    raised = line + upper_height * _arch(1.0, 0.6, 0.74)
    raised = raised - anatomy.droop * 0.13 * outer - anatomy.epicanthus * 0.07 * _inner_fold()
    lowered = line - anatomy.lower_height * _arch(1.0, 1.05, 0.66)
    lowered = lowered + 0.18 * min(pose.gaze_y_rad, 0.25) * anatomy.iris_radius
    closed = line - 0.8 * anatomy.lower_height * _arch(1.0, 1.05, 0.66)
    upper = closed + pose.aperture * (raised - closed)
    lower = closed + min(1.0, pose.aperture * 1.4) * (lowered - closed)
    # Beyond the corners, and where a fold has swallowed a corner, the opening is empty.
    upper = np.maximum(upper, lower) - 0.5 * beyond
    lower = lower + 0.5 * beyond
    crease_height = max(anatomy.upper_height + anatomy.crease_height, 0.1)
    crease = line + crease_height * _arch(1.18, 0.5, 0.48) - anatomy.droop * 0.16 * outer
    crease = np.maximum(crease - (1 - min(pose.aperture, 1.0)) * 0.05, upper + 0.03)
    return Lids(Curve.of(upper), Curve.of(lower), Curve.of(crease))


@dataclass(frozen=True)
class Disc:
    """The iris disc as the camera sees it: an ellipse, narrower along the gaze."""

    centre_u: float
    centre_v: float
    radius: float
    along_u: float
    along_v: float
    foreshortening: float

    @classmethod
    def of(cls, anatomy: Anatomy, pose: Pose) -> Disc:
        """Where the gaze has turned the iris to, on an eyeball of `EYEBALL_RADIUS`."""
        u = EYEBALL_RADIUS * float(np.sin(pose.gaze_x_rad))
        v = EYEBALL_RADIUS * float(np.sin(pose.gaze_y_rad))
        away = float(np.hypot(u, v))
        narrow = float(np.sqrt(max(1 - (away / EYEBALL_RADIUS) ** 2, 0.25)))
        along = (u / away, v / away) if away > 1e-6 else (1.0, 0.0)
        return cls(u, v + 0.01, anatomy.iris_radius, along[0], along[1], narrow)

    def area_px(self, unit_px: float) -> float:
        """Pixels of the whole disc, seen or not."""
        return float(np.pi * (self.radius * unit_px) ** 2 * self.foreshortening)

    def place(self, u: Plane, v: Plane) -> tuple[Plane, Plane]:
        """Coordinates on the disc, in iris radii, with the foreshortening undone."""
        du, dv = u - np.float32(self.centre_u), v - np.float32(self.centre_v)
        a, b = np.float32(self.along_u), np.float32(self.along_v)
        along = (du * a + dv * b) / np.float32(self.radius * self.foreshortening)
        across = (dv * a - du * b) / np.float32(self.radius)
        x, y = along * a - across * b, along * b + across * a
        return x.astype(np.float32, copy=False), y.astype(np.float32, copy=False)


@dataclass(frozen=True)
class EyeGeometry:
    """All coordinates that painting and masks need, over the box of the frame that holds the eye.

    Planes are (h, w) of the box. Distances are in pixels, positive inside.
    """

    frame: Frame
    lids: Lids
    disc: Disc
    box: Box
    u: Plane
    v: Plane
    under_upper: Plane
    over_lower: Plane
    over_crease: Plane
    opening: Plane
    disc_x: Plane
    disc_y: Plane
    disc_r: Plane
    inside_iris: Plane
    inside_pupil: Plane


def eye_geometry(parameters: EyeParameters, frame: Frame) -> EyeGeometry | None:
    """The eye in its frame, or None where no part of eye or lids is in the image."""
    anatomy, pose = parameters.anatomy, parameters.pose
    box = frame.box((-1.5, 1.5), (-0.75, 1.0))
    if box is None or pose.hair_only:
        return None
    lids, disc = lid_curves(anatomy, pose), Disc.of(anatomy, pose)
    u, v = frame.eye_coordinates(box)
    places = curve_index(u)
    under_upper = -lids.upper.above(places, v, frame.unit_px)
    over_lower = lids.lower.above(places, v, frame.unit_px)
    x, y = disc.place(u, v)
    r = np.hypot(x, y)
    radius_px = np.float32(disc.radius * frame.unit_px * np.sqrt(disc.foreshortening))
    # The pupil sits a little towards the nose.
    pupil_r = np.hypot(x + np.float32(0.03), y) / np.float32(pose.pupil_ratio)
    return EyeGeometry(
        frame=frame,
        lids=lids,
        disc=disc,
        box=box,
        u=u,
        v=v,
        under_upper=under_upper,
        over_lower=over_lower,
        over_crease=lids.crease.above(places, v, frame.unit_px),
        opening=np.minimum(under_upper, over_lower),
        disc_x=x,
        disc_y=y,
        disc_r=r,
        inside_iris=(1 - r) * radius_px,
        inside_pupil=(1 - pupil_r) * radius_px * np.float32(pose.pupil_ratio),
    )
