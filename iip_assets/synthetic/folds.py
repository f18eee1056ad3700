"""Lines on the skin: the crease of the lid, the lid margins, wrinkles."""

from __future__ import annotations

import cv2
import numpy as np

from iip_assets.synthetic.geometry import EyeGeometry
from iip_assets.synthetic.paint import Planes, bump, coverage, layer, mix, opacity, strokes
from iip_assets.synthetic.parameters import Anatomy
from iip_assets.synthetic.skin import skin_rgb


def paint_crease(planes: Planes, eye: EyeGeometry, anatomy: Anatomy) -> None:
    """The fold over the upper lid: a dark line, a soft shadow in it, a lighter lid below."""
    part = planes[:, eye.box[0], eye.box[1]]
    unit = eye.frame.unit_px
    fade = np.clip((np.float32(1.18) - np.abs(eye.u)) * 4, 0, 1)
    line = bump(eye.over_crease, 0.022 * unit + 0.4) * np.float32(0.55)
    soft = bump(eye.over_crease - np.float32(0.03 * unit), 0.1 * unit) * np.float32(0.3)
    depth = (line + soft) * fade * np.float32(0.12 + 0.88 * anatomy.crease_depth)
    dark = skin_rgb(anatomy) * np.array([0.36, 0.26, 0.25])
    mix(part, np.minimum(depth, 1), dark)
    lid = np.clip(-eye.over_crease / np.float32(0.08 * unit), 0, 1) * fade
    lid = lid * np.clip(-eye.under_upper / np.float32(0.05 * unit), 0, 1)
    part *= 1 + np.float32(0.05 * anatomy.crease_depth) * lid


def paint_margins(planes: Planes, eye: EyeGeometry, anatomy: Anatomy) -> None:
    """The dark rim of the upper lid, the wet edge of the lower one, a shadow below it."""
    part = planes[:, eye.box[0], eye.box[1]]
    unit = eye.frame.unit_px
    ends = np.clip((np.float32(1.06) - np.abs(eye.u)) * 8, 0, 1)
    skin, hair = skin_rgb(anatomy), np.array(anatomy.hair_rgb)
    above = -eye.under_upper
    rim = 0.035 + 0.055 * anatomy.liner
    upper = np.clip(1.2 - above / np.float32(rim * unit), 0, 1) * coverage(above + 0.5)
    mix(part, upper * ends * np.float32(0.5 + 0.45 * anatomy.liner), hair * 0.4 + skin * 0.12)
    below = -eye.over_lower
    # Only under the eye: above the upper lid `below` is negative, at its corners it is not.
    here = coverage(below + 0.5) * ends * (eye.under_upper > 0)
    wet = bump(below - np.float32(0.022 * unit), 0.03 * unit) * here
    mix(part, wet * np.float32(0.5), skin * np.array([1.06, 0.88, 0.86]) + 0.05)
    line = bump(below - np.float32(0.075 * unit), 0.035 * unit) * here
    mix(part, line * np.float32(0.25 + 0.35 * anatomy.liner), skin * np.array([0.5, 0.38, 0.36]))
    pouch = bump(below - np.float32(0.25 * unit), 0.06 * unit) * here
    mix(part, pouch * np.float32(0.12 + 0.25 * anatomy.bags), skin * np.array([0.55, 0.42, 0.42]))


def paint_wrinkles(
    planes: Planes, eye: EyeGeometry, anatomy: Anatomy, rng: np.random.Generator
) -> None:
    """Crow's feet at the outer corner and lines under the eye, each with a lit lower edge."""
    if anatomy.wrinkles < 0.15:
        return
    frame = eye.frame
    along = np.linspace(0, 1, 7)
    feet = round(3 + 6 * anatomy.wrinkles)
    spread = np.linspace(0.5, -0.8, feet) + rng.normal(0, 0.1, feet)
    reach = rng.uniform(0.2, 0.7, feet) * (0.5 + anatomy.wrinkles)
    start = 1.12 + rng.uniform(0, 0.15, feet)
    u = start[:, None] + reach[:, None] * along * np.cos(spread)[:, None]
    v = (
        anatomy.tilt
        + 0.4 * spread[:, None]
        + reach[:, None] * along * np.sin(0.7 * spread)[:, None]
    )
    v = v - 0.2 * along**2 * reach[:, None]
    lines = [frame.to_pixels(u, v)]
    under = round(2 + 4 * anatomy.wrinkles)
    depth = np.linspace(0.16, 0.5, under) + rng.normal(0, 0.02, under)
    left = rng.uniform(-0.85, -0.3, under)
    u = left[:, None] + rng.uniform(0.7, 1.3, under)[:, None] * along
    v = eye.lids.lower.at(np.clip(u, -0.95, 0.95)) - depth[:, None] - 0.1 * np.maximum(u, 0)
    lines.append(frame.to_pixels(u, v))
    drawn = layer(frame.height, frame.width)
    strokes(drawn, lines[0], 190)
    strokes(drawn, lines[1], 130)
    soft = cv2.GaussianBlur(drawn, (0, 0), 0.55 + 0.008 * frame.unit_px)
    depth_of_line = opacity(soft, 0.3 + 0.4 * anatomy.wrinkles)
    planes *= 1 - np.float32(0.75) * depth_of_line
    planes[:, 1:] *= 1 + np.float32(0.3) * depth_of_line[:-1]
