"""What is in the frame besides the eye: lashes, brows, strands of hair, glasses, a room behind.

Each painter returns the opacity of what stands before the eye, for the mask.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.synthetic.drawing import (
    Plane,
    Planes,
    layer,
    mix,
    opacity,
    patch,
    strokes,
    thickness_px,
)
from iip_assets.synthetic.geometry import EyeGeometry, Frame
from iip_assets.synthetic.parameters import Anatomy, EyeParameters, Pose, Rgb

_FRAME_COLOURS: tuple[Rgb, ...] = (
    (0.06, 0.06, 0.07),
    (0.10, 0.07, 0.05),
    (0.32, 0.18, 0.08),
    (0.55, 0.55, 0.57),
    (0.62, 0.5, 0.3),
    (0.12, 0.16, 0.3),
)


def _lash_curves(
    root_u: NDArray[np.float64],
    root_v: NDArray[np.float64],
    length: NDArray[np.float64],
    *,
    lean: NDArray[np.float64],
    rise: float,
    curl: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(u, v) of quadratic curves, (n, 5) each, from their roots on a lid."""
    t = np.linspace(0, 1, 5)
    u = root_u[:, None] + length[:, None] * lean[:, None] * (t + 0.4 * t * t)
    v = root_v[:, None] + length[:, None] * (rise * t + curl * t * t)
    return u, v


def paint_lashes(
    planes: Planes,
    eye: EyeGeometry,
    anatomy: Anatomy,
    pose: Pose,
    rng: np.random.Generator,
) -> None:
    """Upper lashes, a downward fringe when closed and an upward curl when open; lower ones."""
    frame = eye.frame
    count = round(46 + 60 * anatomy.lash_density)
    root = np.sort(rng.uniform(-0.82, 1.0, count))
    root_v = np.asarray(eye.lids.upper.at(root), np.float64)
    size = anatomy.lash_length * rng.uniform(0.6, 1.15, count) * (0.62 + 0.38 * (root + 1) / 2)
    lean = 0.55 * root + 0.12 + rng.normal(0, 0.16, count)
    open_share = float(np.clip(pose.aperture, 0, 1))
    u, v = _lash_curves(
        root,
        root_v,
        size,
        lean=lean,
        rise=-0.85 + 1.0 * open_share,
        curl=0.15 + 0.5 * open_share,
    )
    upper = frame.to_pixels(u, v)
    sparse = round(14 + 22 * anatomy.lash_density)
    root = rng.uniform(-0.6, 0.98, sparse)
    root_v = np.asarray(eye.lids.lower.at(root), np.float64) - 0.05
    size = 0.55 * anatomy.lash_length * rng.uniform(0.5, 1.1, sparse)
    lean = 0.5 * root + rng.normal(0, 0.2, sparse)
    u, v = _lash_curves(root, root_v, size, lean=lean, rise=-0.75, curl=0.1)
    lower = frame.to_pixels(u, v)
    drawn = layer(frame.height, frame.width)
    fine = min(1.0, frame.unit_px / 60)
    strokes(drawn, lower, round(95 * fine + 35 * anatomy.liner))
    strokes(drawn, upper, round(140 * fine))
    # Lashes are thickest at the root.
    strokes(
        drawn,
        upper[:, :3],
        round(205 * fine + 40 * anatomy.liner),
        thickness_px(frame.unit_px / 45),
    )
    mix(
        planes,
        opacity(drawn, 0.62 + 0.3 * anatomy.liner),
        tuple(0.45 * c for c in anatomy.hair_rgb),
    )


def paint_brow(planes: Planes, frame: Frame, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """A shadow of the brow and the hairs that grow outwards in it."""
    count = round(230 * anatomy.brow_thickness / 0.22)
    along = rng.uniform(0, 1, count)
    u = -1.0 + 2.35 * along
    arch = 0.2 * np.sin(np.pi * np.clip(along * 0.86 + 0.12, 0, 1)) - 0.16 * along**3
    taper = np.sin(np.pi * np.clip(along * 0.8 + 0.16, 0, 1)) ** 0.7
    across = rng.uniform(-1, 1, count)
    v = anatomy.brow_height - 0.06 + arch + across * anatomy.brow_thickness * 0.5 * taper
    length = rng.uniform(0.13, 0.27, count)
    turn = 1.2 - 1.35 * along - 0.6 * across + rng.normal(0, 0.12, count)
    t = np.linspace(0, 1, 3)
    u_line = u[:, None] + length[:, None] * t * np.cos(turn)[:, None]
    v_line = v[:, None] + length[:, None] * (t - 0.25 * t * t) * np.sin(turn)[:, None]
    points = frame.to_pixels(u_line, v_line)
    sigma = 0.05 * frame.unit_px + 0.5
    margin = int(4 * sigma) + 2
    left, top = np.maximum(np.floor(points.min(axis=(0, 1))).astype(int) - margin, 0)
    right, bottom = np.ceil(points.max(axis=(0, 1))).astype(int) + margin
    if right <= 0 or bottom <= 0 or left >= frame.width or top >= frame.height:
        return
    drawn = layer(frame.height, frame.width)
    strokes(drawn, points, 150)
    drawn = drawn[top:bottom, left:right]
    part = planes[:, top:bottom, left:right]
    soft = cv2.GaussianBlur(drawn, (0, 0), sigma)
    mix(part, opacity(soft, 0.75), [0.7 * c for c in anatomy.hair_rgb])
    mix(part, opacity(drawn, 0.9), [0.55 * c for c in anatomy.hair_rgb])


def _fibres(height: int, width: int, angle_rad: float, rng: np.random.Generator) -> Plane:
    """Hair texture that runs along `angle_rad`, gently bent; (height, width), deviation near 1."""
    side = 2 * max(height, width)
    straight = patch("fibres", rng, side, side)
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    bend = np.float32(rng.uniform(-0.0035, 0.0035) * 160 / width)
    along = (x - width / 2) * np.float32(c) - (y - height / 2) * np.float32(s)
    across = (x - width / 2) * np.float32(s) + (y - height / 2) * np.float32(c)
    across = across + bend * along * along
    map_x, map_y = along + np.float32(side / 2), across + np.float32(side / 2)
    return np.asarray(
        cv2.remap(straight, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
        dtype=np.float32,
    )


def hair_image(frame: Frame, colour: Rgb, rng: np.random.Generator) -> Planes:
    """A frame of nothing but hair, with a band of shine across it."""
    angle = float(rng.uniform(0.2, 2.9))
    texture = _fibres(frame.height, frame.width, angle, rng)
    waves = patch("mottle", rng, frame.height, frame.width)
    sheen = np.clip(1 + 0.35 * waves, 0.4, 2)
    brightness = np.clip(1.35 + 0.6 * texture, 0.2, 4) * sheen
    planes = np.empty((3, frame.height, frame.width), np.float32)
    gloss = np.float32(0.05) * np.clip(texture, 0, 2) * sheen
    for channel in range(3):
        planes[channel] = np.float32(colour[channel]) * brightness + gloss
    return planes


def strand_layer(frame: Frame, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """A strand of hair that falls across the frame.

    Returns:
        (opacity 0..1, brightness of each hair), both (H, W).
    """
    count = int(rng.integers(18, 90))
    t = np.linspace(0, 1, 9)
    start = rng.uniform(-0.1, 1.1)
    fall = rng.normal(0, 0.25)
    bow = rng.normal(0, 0.2)
    width = rng.uniform(0.04, 0.16)
    offset = rng.normal(0, width, count) * rng.uniform(0.3, 1.0)
    spread = rng.normal(0, 0.06, count)
    x = start + offset[:, None] + (fall + spread[:, None]) * t + bow * t * t
    y = np.broadcast_to(-0.05 + 1.1 * t, x.shape)
    points = np.stack([x * frame.width, y * frame.height], axis=-1).astype(np.float32)
    drawn, lit = layer(frame.height, frame.width), layer(frame.height, frame.width)
    strokes(drawn, points, 170, thickness_px(frame.width / 200))
    strokes(drawn, points[::3], 240, thickness_px(frame.width / 200))
    strokes(lit, points[: count // 3], 255)
    return opacity(drawn), 0.7 + opacity(lit, 0.9)


def paint_scenery(
    planes: Planes, frame: Frame, parameters: EyeParameters, rng: np.random.Generator
) -> Plane | None:
    """Adds the scenery in place; returns (H, W) opacity of what covers the eye, if anything."""
    if parameters.scenery == "strand":
        cover, brightness = strand_layer(frame, rng)
        hair = parameters.anatomy.hair_rgb
        mix(planes, cover, np.stack([np.float32(c) * brightness for c in hair]))
        return cover
    if parameters.scenery == "room":
        return _room(planes, frame, parameters, rng)
    if parameters.scenery == "glasses":
        return _glasses(planes, frame, rng)
    return None


def _room(
    planes: Planes, frame: Frame, parameters: EyeParameters, rng: np.random.Generator
) -> Plane:
    """A room out of focus beyond the temple, with the hairline at the edge of the face."""
    rows, columns = 5, 7
    blocks = np.clip(rng.normal(0.45, 0.2, (rows, columns, 1)), 0.05, 0.95)
    tinted = np.clip(
        blocks * rng.uniform(0.8, 1.2, 3) + rng.normal(0, 0.05, (rows, columns, 3)), 0, 1
    )
    if rng.uniform() < 0.5:
        tinted[:, rng.integers(0, columns)] = rng.uniform(0.75, 1.0)
    far = cv2.resize(
        tinted.astype(np.float32), (frame.width, frame.height), interpolation=cv2.INTER_CUBIC
    )
    u, v = frame.eye_coordinates((slice(0, frame.height), slice(0, frame.width)))
    edge = np.float32(rng.uniform(1.55, 1.95)) - np.float32(0.1) * (v + np.float32(0.3)) ** 2
    beyond_px = (u - edge) * np.float32(frame.unit_px)
    haired = bool(rng.uniform() < 0.55)
    if haired:
        texture = patch("fibres", rng, frame.width, frame.height).T
        ragged = np.float32(rng.uniform(0.2, 0.5)) + np.float32(0.06) * texture
        hair = np.clip(beyond_px / np.float32(6) + ragged * np.float32(frame.unit_px / 6), 0, 1)
        lit = np.clip(1 + np.float32(0.45) * texture, 0.2, 3)
        mix(planes, hair, np.stack([np.float32(c) * lit for c in parameters.anatomy.hair_rgb]))
    else:
        shade = np.clip(1 + beyond_px / np.float32(0.35 * frame.unit_px), 0, 1)
        planes *= 1 - np.float32(0.4) * shade
    cover = np.clip(beyond_px / np.float32(2.5) + np.float32(0.5), 0, 1)
    mix(planes, cover, np.clip(far.transpose(2, 0, 1), 0, 1))
    return np.asarray(cover)


def _glasses(planes: Planes, frame: Frame, rng: np.random.Generator) -> Plane:
    """A rim around the eye, its shadow on the skin, the temple arm, a streak on the lens."""
    turn = np.linspace(0, 2 * np.pi, 49)
    power = rng.uniform(0.45, 1.0)
    half_u, half_v = rng.uniform(1.35, 1.6), rng.uniform(0.78, 1.05)
    shift_v = rng.uniform(-0.16, 0.04)
    c, s = np.cos(turn), np.sin(turn)
    u = 0.1 + half_u * np.sign(c) * np.abs(c) ** power
    v = shift_v + half_v * np.sign(s) * np.abs(s) ** power
    rim = frame.to_pixels(u, v)
    thick = thickness_px(rng.uniform(0.03, 0.12) * frame.unit_px)
    drawn = layer(frame.height, frame.width)
    strokes(drawn, rim[None], 255, thick)
    bridge = frame.to_pixels(np.array([0.1 - half_u, -2.4]), np.array([shift_v + 0.3] * 2))
    arm = frame.to_pixels(np.array([0.1 + half_u, 3.2]), np.array([shift_v + 0.35, shift_v + 0.4]))
    strokes(drawn, np.stack([bridge, arm]), 255, thick)
    shadow = np.roll(cv2.GaussianBlur(drawn, (0, 0), 0.05 * frame.unit_px), 3, axis=0)
    planes *= 1 - opacity(shadow, 0.4)
    lens = layer(frame.height, frame.width)
    left = rng.uniform(-1.2, 0.8)
    streak = frame.to_pixels(np.array([left, left + 0.5]), np.array([-0.7, 0.8]) + shift_v)
    strokes(lens, streak[None], 255, thickness_px(rng.uniform(0.1, 0.3) * frame.unit_px))
    soft = cv2.GaussianBlur(lens, (0, 0), 0.04 * frame.unit_px)
    mix(planes, opacity(soft, rng.uniform(0.0, 0.28)), (0.9, 0.95, 1.0))
    colour = _FRAME_COLOURS[int(rng.integers(len(_FRAME_COLOURS)))]
    cover = opacity(drawn)
    lit = 1 + 0.5 * np.clip(opacity(drawn) - np.roll(opacity(drawn), 1, axis=0), 0, 1)
    mix(planes, cover, np.stack([np.float32(c) * lit for c in colour]))
    return cover
