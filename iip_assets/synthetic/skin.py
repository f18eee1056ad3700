"""Bare skin around the eye: tone, shading, pores, and its lines: creases, lid margins, wrinkles."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.synthetic.drawing import (
    Plane,
    Planes,
    bump,
    coverage,
    layer,
    mix,
    opacity,
    patch,
    strokes,
)
from iip_assets.synthetic.geometry import EyeGeometry, Frame
from iip_assets.synthetic.parameters import Anatomy, Light

# The ten skin tones of Monk (2022), sRGB, drawn towards the warmer hue that cameras see in skin.
_MONK = np.array(
    [
        (243, 214, 198),
        (236, 200, 178),
        (230, 188, 160),
        (220, 174, 140),
        (203, 153, 116),
        (168, 117, 82),
        (136, 91, 63),
        (105, 68, 49),
        (78, 51, 39),
        (57, 39, 32),
    ]
) / np.float64(255)

_STEP = 4  # the smooth parts are computed on blocks of 4 x 4 pixels


def skin_rgb(anatomy: Anatomy) -> NDArray[np.float64]:
    """The plain colour of the skin, sRGB 0..1."""
    steps = np.arange(1, 11)
    rgb = np.array([np.interp(anatomy.skin_tone, steps, _MONK[:, c]) for c in range(3)])
    flush = (anatomy.skin_redness - 0.3) * 0.13
    return np.clip(rgb * (1 + flush * np.array([0.5, -0.7, -0.5])), 0, 1)


def _hill(u: Plane, v: Plane, place: tuple[float, float], size: tuple[float, float]) -> Plane:
    """A Gaussian hill of height 1."""
    du, dv = (u - np.float32(place[0])) / size[0], (v - np.float32(place[1])) / size[1]
    return np.asarray(np.exp(-(du * du + dv * dv)), dtype=np.float32)


def _relief(u: Plane, v: Plane, anatomy: Anatomy) -> Plane:
    """Height of the face over its plane, in half eye widths."""
    bow = v - 0.12 * np.clip(1 - u * u * np.float32(0.4), -1, 1)
    ball = 0.42 * _hill(u, v, (0.0, -0.02), (0.95, 0.62))
    brow = 0.34 * np.exp(-(((bow - np.float32(anatomy.brow_height)) / 0.5) ** 2))
    nose = 0.75 * _hill(u, v * np.float32(0.4), (-2.3, -0.25), (0.85, 0.75))
    cheek = 0.3 * _hill(u, v, (0.5, -1.9), (1.6, 0.7))
    bag = (0.03 + 0.1 * anatomy.bags) * _hill(
        u, v + np.float32(0.12) * u * u, (0.0, -0.52), (0.75, 0.15)
    )
    trough = (
        -0.06
        * (0.4 + anatomy.bags)
        * _hill(u, v + np.float32(0.25) * u, (-0.45, -0.72), (0.7, 0.12))
    )
    return np.float32(1.25) * np.asarray(
        ball + brow + nose + cheek + bag + trough, dtype=np.float32
    )


def _light_vector(light: Light) -> tuple[float, float, float]:
    """Unit vector to the light: right, down, towards the camera."""
    flat = 0.85 * light.slant
    x, y = flat * np.cos(light.azimuth_rad), -flat * np.sin(light.azimuth_rad)
    return float(x), float(y), float(np.sqrt(1 - flat * flat))


def _shading(relief: Plane, frame: Frame, light: Light) -> tuple[Plane, Plane]:
    """(diffuse, about 1 where light falls straight; specular 0..1) by Lambert and Blinn."""
    dy, dx = np.gradient(relief, _STEP / frame.unit_px)
    lx, ly, lz = _light_vector(light)
    norm = 1 / np.sqrt(1 + dx * dx + dy * dy)
    facing = np.maximum((lz - dx * lx - dy * ly) * norm, 0)
    diffuse = light.ambient + (1 - light.ambient) * facing / lz
    half = 1 / np.sqrt(2 + 2 * lz)
    shine = np.maximum((1 + lz - dx * lx - dy * ly) * norm * half, 0) ** 24
    return diffuse.astype(np.float32), shine.astype(np.float32)


def paint_skin(frame: Frame, anatomy: Anatomy, light: Light, rng: np.random.Generator) -> Planes:
    """A frame of skin, (3, H, W), with the tints of the lids and the shade of the socket."""
    whole = (slice(0, frame.height), slice(0, frame.width))
    u, v = frame.eye_coordinates(whole, step=_STEP)
    diffuse, shine = _shading(_relief(u, v, anatomy), frame, light)
    around = _hill(u, v, (0.0, 0.05), (1.25, 0.62))
    inner = _hill(u, v, (-1.2, 0.28), (0.4, 0.42))
    under = _hill(u, v, (-0.25, -0.62), (0.8, 0.24))
    dusk = (0.07 + 0.014 * anatomy.skin_tone) * around + (0.1 + 0.16 * anatomy.bags) * under
    flush = anatomy.skin_redness * (0.5 * around + 0.4 * inner)
    mottle = patch("mottle", rng, *u.shape)
    shade = diffuse * (1 - 0.2 * inner) * (1 + 0.025 * mottle)
    base = skin_rgb(anatomy)
    gloss = shine * np.float32(0.05 + 0.011 * anatomy.skin_tone)
    absorbs = ((0.75, 0.02), (1.1, -0.055), (0.95, -0.04))
    planes = np.empty((3, frame.height, frame.width), np.float32)
    size = (u.shape[1] * _STEP, u.shape[0] * _STEP)
    for channel, (dark, red) in enumerate(absorbs):
        soft = base[channel] * shade * (1 - dark * dusk + red * 2 * flush) + gloss
        wide = cv2.resize(soft.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        planes[channel] = wide[: frame.height, : frame.width]
    pores = patch("pores", rng, frame.height, frame.width)
    grain = patch("grain", rng, frame.height, frame.width)
    rough = 1 + np.float32(0.012 + 0.016 * anatomy.wrinkles) * (pores + np.float32(0.8) * grain)
    planes *= rough
    return planes


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
