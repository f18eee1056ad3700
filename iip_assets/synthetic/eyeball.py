"""The eye seen through the opening of the lids: its colours, and its exact mask and label."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.synthetic.drawing import (
    IRIS_ANGLES,
    IRIS_PATTERNS,
    IRIS_RADII,
    Plane,
    Planes,
    bump,
    coverage,
    iris_patterns,
    layer,
    mix,
    opacity,
    patch,
    polygon,
)
from iip_assets.synthetic.geometry import Box, EyeGeometry
from iip_assets.synthetic.parameters import Anatomy, EyeParameters, Light, Pose

CARUNCLE_END = -0.87  # the pink corner, no part of the sclera, reaches this far from -1

Label = Literal["full", "partial", "none"]
Mask = NDArray[np.uint8]
BACKGROUND, SCLERA, IRIS, PUPIL = range(4)
NONE_BELOW_SHARE = 0.001  # of all pixels of the image
FULL_FROM_SHARE = 0.6  # of the whole iris disc


def paint_eyeball(
    planes: Planes, eye: EyeGeometry, parameters: EyeParameters, rng: np.random.Generator
) -> None:
    """Everything between the lids, in place."""
    part = planes[:, eye.box[0], eye.box[1]]
    window = _bounds(eye.opening > -1)
    if window is None:
        return
    ball = _sclera(eye, window, parameters.anatomy, rng)
    _iris(ball, eye, window, parameters, rng)
    _shade(ball, eye, window, parameters)
    _reflections(ball, eye, window, parameters.light, rng)
    mix(part[:, window[0], window[1]], coverage(eye.opening[window]), ball)


def _bounds(inside: NDArray[np.bool_]) -> Box | None:
    """The rows and columns that hold all that is True."""
    if not inside.any():
        return None
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _within(outer: Box, inner: Box) -> Box:
    """A part of a part, as a part of the whole."""
    rows, columns = (
        slice(whole.start + part.start, whole.start + part.stop)
        for whole, part in zip(outer, inner, strict=True)
    )
    return rows, columns


def _sclera(eye: EyeGeometry, window: Box, anatomy: Anatomy, rng: np.random.Generator) -> Planes:
    u, v = eye.u[window], eye.v[window]
    yellow, red = anatomy.sclera_yellow, anatomy.sclera_redness
    white = (0.92 - 0.03 * yellow, 0.88 - 0.04 * yellow - 0.05 * red, 0.855 - 0.2 * yellow)
    ball = np.empty((3, *u.shape), np.float32)
    ball[:] = np.array(white, np.float32)[:, None, None]
    corners = np.clip(np.abs(u) - np.float32(0.25), 0, 1)
    vessels = patch("vessels", rng, *u.shape)
    veined = np.clip(vessels * corners * np.float32(0.55 + 1.3 * red), 0, 0.75)
    mix(ball, veined, (0.72, 0.33, 0.3))
    mix(ball, corners * np.float32(0.12 + 0.3 * red), (0.8, 0.5, 0.46))
    caruncle = np.clip((np.float32(CARUNCLE_END + 0.04) - u) * 12, 0, 1)
    knob = bump(np.hypot(u + np.float32(0.93), v + np.float32(0.02)), 0.06)
    mix(ball, caruncle * np.float32(0.85), (0.70, 0.40, 0.36))
    mix(ball, knob * np.float32(0.35), (0.9, 0.62, 0.58))
    return ball


def _iris(
    ball: Planes,
    eye: EyeGeometry,
    window: Box,
    parameters: EyeParameters,
    rng: np.random.Generator,
) -> None:
    part = _bounds(eye.disc_r[window] < 1.12)
    if part is None:
        return
    small = _within(window, part)
    anatomy, pose = parameters.anatomy, parameters.pose
    x, y, r = eye.disc_x[small], eye.disc_y[small], eye.disc_r[small]
    colour = _iris_colour((x, y, r), anatomy, pose, parameters.light)
    if anatomy.lens_pattern > 0:
        _contact_lens(colour, x, y, r, anatomy)
    softness = max(1.0, 0.07 * anatomy.iris_radius * eye.frame.unit_px)
    target = ball[:, part[0], part[1]]
    mix(target, coverage(eye.inside_iris[small], softness), colour)
    mix(target, coverage(eye.inside_pupil[small]), (0.025, 0.022, 0.022))


def _iris_colour(
    place: tuple[Plane, Plane, Plane], anatomy: Anatomy, pose: Pose, light: Light
) -> Planes:
    """Fibres from pupil to limbus, an inner ring, the limbal ring, light gathered across."""
    x, y, r = place
    depth = np.clip((r - pose.pupil_ratio) / np.float32(1 - pose.pupil_ratio), 0, 1)
    turn = np.arctan2(y, x) * np.float32(IRIS_ANGLES / (2 * np.pi))
    angle = turn.astype(np.int32) % IRIS_ANGLES
    ring = (depth * (IRIS_RADII - 1)).astype(np.int32)
    pattern = iris_patterns()[anatomy.iris_texture % IRIS_PATTERNS]
    fibres = pattern.ravel()[ring * IRIS_ANGLES + angle]
    colour = np.empty((3, *r.shape), np.float32)
    colour[:] = np.array(anatomy.iris_rgb, np.float32)[:, None, None]
    near = np.clip(1.15 - depth * np.float32(2.2) + fibres * np.float32(0.18), 0, 1)
    mix(colour, near, anatomy.iris_inner_rgb)
    colour *= np.maximum(1 + np.float32(0.36 * anatomy.iris_contrast) * fibres, 0.25)
    # A cornea lit from one side gathers the light on the other side of the iris.
    across = -(
        x * np.float32(np.cos(light.azimuth_rad)) + y * np.float32(np.sin(light.azimuth_rad))
    )
    colour *= 1 + np.float32(0.3 * light.slant + 0.1) * across
    if anatomy.arcus > 0:
        mix(colour, bump(r - np.float32(0.93), 0.07) * np.float32(0.6 * anatomy.arcus), (0.7,) * 3)
    limbus = np.clip((r - np.float32(0.76)) * 4, 0, 1) ** 2
    colour *= 1 - np.float32(0.25 + 0.6 * anatomy.limbal_ring) * limbus
    collar = np.clip(1 - depth * 9, 0, 1)
    colour *= 1 - np.float32(0.35) * collar
    return colour


def _contact_lens(colour: Planes, x: Plane, y: Plane, r: Plane, anatomy: Anatomy) -> None:
    """A printed lens: a ring of dots in a strong colour with a black rim."""
    angle = np.arctan2(y, x)
    dots = np.sin(angle * 22 + r * 9) * np.sin(r * np.float32(31)) > -0.35
    band = (r > 0.46) & (r < 0.97)
    mix(
        colour,
        (dots & band).astype(np.float32) * np.float32(anatomy.lens_pattern),
        anatomy.lens_rgb,
    )
    mix(colour, bump(r - np.float32(0.95), 0.06) * np.float32(anatomy.lens_pattern), (0.03,) * 3)


def _shade(ball: Planes, eye: EyeGeometry, window: Box, parameters: EyeParameters) -> None:
    """The ball darkens to its sides and under the lid and lashes; all of it in the face's light."""
    light, unit = parameters.light, eye.frame.unit_px
    u, v = eye.u[window], eye.v[window]
    side = np.float32(np.cos(light.azimuth_rad) * eye.frame.mirror * light.slant)
    up = np.float32(np.sin(light.azimuth_rad) * light.slant)
    shade = 1.0 - np.float32(0.3) * u * u + np.float32(0.16) * u * side
    shade += np.float32(0.12) * v * up
    shadow = np.clip(1 - eye.under_upper[window] / np.float32(0.24 * unit), 0, 1)
    shade *= 1 - np.float32(0.34 + 0.2 * max(float(up), 0.0)) * shadow * shadow
    shade *= 1 - np.float32(0.28) * np.clip(
        1 - eye.over_lower[window] / np.float32(0.07 * unit), 0, 1
    )
    # The socket takes more light away from deeper skins' surroundings than from the ball.
    shade *= np.float32(0.95 - 0.018 * parameters.anatomy.skin_tone)
    ball *= shade


def _reflections(
    ball: Planes,
    eye: EyeGeometry,
    window: Box,
    light: Light,
    rng: np.random.Generator,
) -> None:
    """The glint of the lamp, a faint mirrored room on the cornea, a wet line on the lower lid."""
    unit, disc = eye.frame.unit_px, eye.disc
    radius_px = disc.radius * unit
    cornea = coverage(eye.inside_iris[window], 3.0)
    sky = np.clip(eye.disc_y[window] * np.float32(0.9) + np.float32(0.1), 0, 1)
    mix(ball, sky * cornea * np.float32(rng.uniform(0.03, 0.17)), (0.72, 0.78, 0.86))
    shape = layer(eye.frame.height, eye.frame.width)
    middle = eye.frame.to_pixels(np.array(disc.centre_u), np.array(disc.centre_v))
    away = (0.2 + 0.3 * light.slant) * radius_px
    x = float(middle[0]) + away * float(np.cos(light.azimuth_rad))
    y = float(middle[1]) - away * float(np.sin(light.azimuth_rad))
    _draw_glint(shape, (x, y), light, radius_px, rng)
    mix(ball, opacity(shape[_within(eye.box, window)], 0.97), (1.0, 1.0, 0.99))
    wet = bump(eye.over_lower[window] - np.float32(0.02 * unit), 0.02 * unit + 0.2)
    sparkle = np.clip(patch("grain", rng, *wet.shape), 0, 1)
    mix(ball, wet * sparkle * np.float32(0.45), (1.0, 0.98, 0.97))


def _draw_glint(
    shape: NDArray[np.uint8],
    middle: tuple[float, float],
    light: Light,
    radius_px: float,
    rng: np.random.Generator,
) -> None:
    x, y = middle
    size = max(light.glint * radius_px, 0.7)
    if light.glint_kind == "window":
        turn = rng.uniform(-0.2, 0.2)
        corners = np.array([(-1, -1.2), (1, -1.1), (0.9, 1.1), (-0.9, 1.2)]) * size
        spin = np.array([(np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))])
        polygon(shape, (corners @ spin + (x, y)).astype(np.float32), 225)
        cv2.line(shape, (round(x), round(y - size)), (round(x), round(y + size)), 110, 1)
        return
    spots = [(x, y)]
    if light.glint_kind == "two":
        spots.append((x - 0.55 * radius_px, y + 0.18 * radius_px))
    for number, (spot_x, spot_y) in enumerate(spots):
        centre = (round((spot_x - 0.5) * 16), round((spot_y - 0.5) * 16))
        filled = -1 if light.glint_kind != "ring" else max(1, round(size * 0.35))
        radius = size if light.glint_kind != "ring" else size * 1.7
        cv2.circle(
            shape, centre, round(radius * 16 * (1 - 0.3 * number)), 255, filled, cv2.LINE_AA, 4
        )


def eye_mask(eye: EyeGeometry | None, cover: Plane | None, height: int, width: int) -> Mask:
    """The class of each pixel, (height, width) uint8: whatever fills more than half of it.

    0 background, 1 sclera, 2 iris, 3 pupil; the caruncle counts as background. `cover` is the
    opacity (H, W) of what stands before the eye.
    """
    mask = np.zeros((height, width), np.uint8)
    if eye is None:
        return mask
    part = mask[eye.box]
    seen = eye.opening > 0
    iris = eye.inside_iris > 0
    part[seen & (eye.u > CARUNCLE_END)] = SCLERA
    part[seen & iris] = IRIS
    part[seen & iris & (eye.inside_pupil > 0)] = PUPIL
    if cover is not None:
        mask[cover > 0.5] = BACKGROUND
    return mask


def iris_share(mask: Mask, disc_area_px: float) -> float:
    """Visible iris and pupil as a share of the whole iris disc, 0 to 1."""
    return min(1.0, float(np.count_nonzero(mask >= IRIS)) / disc_area_px)


def label_of(mask: Mask, disc_area_px: float) -> Label:
    """The true label.

    `none` under 0.1% of the pixels iris or pupil; `partial` where under 60% of the whole iris disc
    is seen or the iris touches the border; else `full`.
    """
    iris = mask >= IRIS
    if np.count_nonzero(iris) < NONE_BELOW_SHARE * mask.size:
        return "none"
    touches = iris[0].any() or iris[-1].any() or iris[:, 0].any() or iris[:, -1].any()
    if touches or iris_share(mask, disc_area_px) < FULL_FROM_SHARE:
        return "partial"
    return "full"
