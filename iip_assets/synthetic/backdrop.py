"""What is in the frame besides the eye: a room behind the face, a strand of hair, glasses.

Each painter returns the opacity of what stands before the eye, for the mask.
"""

from __future__ import annotations

import cv2
import numpy as np

from iip_assets.synthetic.geometry import Frame
from iip_assets.synthetic.hair import strand_layer
from iip_assets.synthetic.noise import patch
from iip_assets.synthetic.paint import Plane, Planes, layer, mix, opacity, strokes, thickness_px
from iip_assets.synthetic.parameters import EyeParameters, Rgb

_FRAME_COLOURS: tuple[Rgb, ...] = (
    (0.06, 0.06, 0.07),
    (0.10, 0.07, 0.05),
    (0.32, 0.18, 0.08),
    (0.55, 0.55, 0.57),
    (0.62, 0.5, 0.3),
    (0.12, 0.16, 0.3),
)


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
