"""How a person happened to be photographed, and where: sites, devices, what a device does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from iip_assets.synthetic.parameters import (
    Anatomy,
    Camera,
    EyeParameters,
    GlintKind,
    Light,
    Pose,
    RareMode,
    Rgb,
    Scenery,
    Side,
)
from iip_assets.synthetic.population import Range, Subject, between, clipped, pick

ShotKind = Literal["open", "squint", "blink", "closed", "off_frame", "skin", "hair"]
# How often a kind of shot is taken, and how far the eye is open then.
_KINDS: dict[ShotKind, tuple[float, Range]] = {
    "open": (0.6, (0.82, 1.12)),
    "squint": (0.09, (0.38, 0.82)),
    "blink": (0.06, (0.15, 0.42)),
    "closed": (0.1, (0.0, 0.0)),
    "off_frame": (0.08, (0.6, 1.12)),
    "skin": (0.04, (0.0, 1.0)),
    "hair": (0.03, (0.5, 1.0)),
}
_GLINTS: dict[GlintKind, float] = {"point": 0.45, "window": 0.2, "ring": 0.15, "two": 0.2}


@dataclass(frozen=True)
class Device:
    """The range of each camera property, from which a shot is drawn."""

    name: str
    blur_px: Range
    noise: Range
    cast_rgb: Rgb
    cast_spread: float
    contrast: Range
    saturation: Range
    vignette: Range
    exposure: Range
    scale: Range
    jpeg_quality: tuple[int, int]
    handheld: bool


@dataclass(frozen=True)
class Site:
    """A place that sends batches, with the share of each of its devices."""

    name: str
    devices: tuple[tuple[Device, float], ...]


# What the drifted batch is taken with is the last one: its darkness, blur and cast come from the
# drift's strength.
_NAMES = ("desk_camera", "phone_a", "phone_b", "kiosk", "headset_v2")
_PROPERTIES: dict[str, tuple[Any, ...]] = {
    "blur_px": ((0.4, 0.8), (0.4, 1.3), (0.5, 1.6), (0.7, 1.5), (0.5, 1.1)),
    "noise": ((0.006, 0.014), (0.008, 0.03), (0.015, 0.045), (0.012, 0.03), (0.012, 0.03)),
    "cast_rgb": (
        (1.0, 1.0, 1.0),
        (1.04, 1.0, 0.93),
        (0.95, 1.0, 1.06),
        (0.97, 1.03, 0.96),
        (1.0, 1.0, 1.0),
    ),
    "cast_spread": (0.02, 0.07, 0.07, 0.04, 0.03),
    "contrast": ((0.98, 1.15), (0.95, 1.25), (0.85, 1.1), (0.9, 1.1), (0.95, 1.15)),
    "saturation": ((0.95, 1.1), (1.0, 1.35), (0.7, 1.05), (0.75, 1.0), (0.9, 1.1)),
    "vignette": ((0.0, 0.15), (0.0, 0.2), (0.05, 0.35), (0.1, 0.4), (0.1, 0.4)),
    "exposure": ((0.85, 1.2), (0.6, 1.3), (0.5, 1.15), (0.6, 1.1), (0.75, 1.15)),
    "scale": ((0.3, 0.4), (0.23, 0.42), (0.23, 0.42), (0.2, 0.34), (0.27, 0.42)),
    "jpeg_quality": ((91, 95), (82, 93), (76, 88), (80, 90), (82, 91)),
    "handheld": (False, True, True, False, False),
}
_DESK, _PHONE_A, _PHONE_B, _KIOSK, _HEADSET = (
    Device(name, **{key: values[place] for key, values in _PROPERTIES.items()})
    for place, name in enumerate(_NAMES)
)

SITES: tuple[Site, ...] = (
    Site("clinic", ((_DESK, 0.85), (_PHONE_A, 0.15))),
    Site("mobile", ((_PHONE_A, 0.6), (_PHONE_B, 0.4))),
    Site("kiosk", ((_KIOSK, 0.8), (_PHONE_B, 0.2))),
    Site("field", ((_PHONE_B, 0.45), (_PHONE_A, 0.3), (_DESK, 0.25))),
)
DRIFTED_SITE = Site("headset", ((_HEADSET, 1.0),))


@dataclass(frozen=True)
class Shot:
    """A photograph before it is taken."""

    kind: ShotKind
    side: Side
    parameters: EyeParameters


def sample_shot(
    rng: np.random.Generator, subject: Subject, device: Device, *, rare_mode: RareMode | None
) -> Shot:
    """One shot of a subject with a device. A rare mode is always seen on an open eye."""
    drawn = pick(rng, {kind: often for kind, (often, _) in _KINDS.items()})
    kind: ShotKind = "open" if rare_mode else drawn
    side: Side = "left" if rng.uniform() < 0.5 else "right"
    light = _light(rng, device)
    shot = Shot(
        kind=kind,
        side=side,
        parameters=EyeParameters(
            anatomy=subject.eyes[side],
            pose=_pose(rng, kind, side, age_years=subject.age_years, light=light, device=device),
            light=light,
            camera=_camera(rng, device),
            scenery=_scenery(rng, subject, kind),
            seed=int(rng.integers(2**31)),
        ),
    )
    return replace(shot, parameters=_with_mode(rng, shot.parameters, rare_mode))


def _pose(
    rng: np.random.Generator,
    kind: ShotKind,
    side: Side,
    *,
    age_years: int,
    light: Light,
    device: Device,
) -> Pose:
    scale = between(rng, device.scale)
    x, y = _place(rng, kind, scale)
    # Pupils are wider in the dark and narrower in old age (Winn et al. 1994).
    pupil = 0.58 - 0.17 * light.exposure - 0.0016 * age_years + rng.normal(0, 0.06)
    return Pose(
        side=side,
        centre_x=x,
        centre_y=y,
        scale=scale,
        roll_rad=float(rng.normal(0, 0.12 if device.handheld else 0.06)),
        aperture=between(rng, _KINDS[kind][1]),
        gaze_x_rad=clipped(rng.normal(0, 0.22), -0.6, 0.6),
        gaze_y_rad=clipped(rng.normal(-0.02, 0.12), -0.4, 0.35),
        pupil_ratio=clipped(pupil, 0.2, 0.7),
        hair_only=kind == "hair",
    )


def _place(rng: np.random.Generator, kind: ShotKind, scale: float) -> tuple[float, float]:
    """Centre of the eye in frame widths and heights."""
    if kind == "off_frame":
        # The border cuts the iris, near its rim or deep.
        reach = scale * 0.39 * between(rng, (-0.7, 0.9))
        edge = int(rng.integers(4))
        along = between(rng, (0.25, 0.75))
        return (
            (-reach, along),
            (1 + reach, along),
            (along, -reach * 4 / 3),
            (along, 1 + reach * 4 / 3),
        )[edge]
    if kind == "skin":
        turn = between(rng, (0, 2 * np.pi))
        along, down = (0.55 + 1.3 * scale) * np.cos(turn), (0.75 + 1.0 * scale) * np.sin(turn)
        return 0.5 + float(along), 0.5 - float(down)
    x, y = rng.normal(0.5, 0.05), rng.normal(0.54, 0.06)
    return clipped(x, 0.36, 0.64), clipped(y, 0.36, 0.7)


def _light(rng: np.random.Generator, device: Device) -> Light:
    return Light(
        azimuth_rad=float(np.pi / 2 + rng.normal(0, 0.9)),
        slant=between(rng, (0.1, 1.0)),
        ambient=between(rng, (0.3, 0.75)),
        falloff=float(rng.beta(1.4, 3)),
        exposure=between(rng, device.exposure),
        glint=between(rng, (0.06, 0.2)),
        glint_kind=pick(rng, _GLINTS),
    )


def _camera(rng: np.random.Generator, device: Device) -> Camera:
    warm = rng.normal(0, device.cast_spread)
    tint = rng.normal(0, device.cast_spread / 3)
    r, g, b = device.cast_rgb
    cast: Rgb = (float(r * (1 + warm)), float(g * (1 + tint)), float(b * (1 - warm)))
    moving = device.handheld and rng.uniform() < 0.15
    return Camera(
        blur_px=between(rng, device.blur_px),
        motion_px=between(rng, (2.0, 6.0)) if moving else 0.0,
        motion_rad=between(rng, (0, np.pi)),
        noise=between(rng, device.noise),
        cast_rgb=cast,
        contrast=between(rng, device.contrast),
        saturation=between(rng, device.saturation),
        vignette=between(rng, device.vignette),
        jpeg_quality=int(rng.integers(device.jpeg_quality[0], device.jpeg_quality[1] + 1)),
    )


def _scenery(rng: np.random.Generator, subject: Subject, kind: ShotKind) -> Scenery:
    if subject.wears_glasses and kind != "skin" and rng.uniform() < 0.7:
        return "glasses"
    strand = 0.13 if subject.long_hair else 0.03
    draw = rng.uniform()
    return "strand" if draw < strand else "room" if draw < strand + 0.25 else "plain"


def _with_mode(
    rng: np.random.Generator, parameters: EyeParameters, mode: RareMode | None
) -> EyeParameters:
    if mode == "glare":
        light = replace(parameters.light, glare=between(rng, (0.5, 0.9)))
        return replace(parameters, light=light)
    if mode == "patterned_lens":
        palette: tuple[Rgb, ...] = (
            (0.85, 0.2, 0.2),
            (0.75, 0.65, 0.15),
            (0.35, 0.75, 0.85),
            (0.7, 0.4, 0.85),
        )
        colour = palette[int(rng.integers(len(palette)))]
        strength = between(rng, (0.75, 1.0))
        anatomy = replace(parameters.anatomy, lens_pattern=strength, lens_rgb=colour)
        return replace(parameters, anatomy=anatomy)
    if mode == "infrared":
        return replace(
            parameters,
            anatomy=_in_infrared(parameters.anatomy),
            light=replace(parameters.light, glint_kind="two", glint=0.1),
            camera=replace(parameters.camera, monochrome=True, cast_rgb=(1.0, 1.0, 1.0)),
        )
    return parameters


def _in_infrared(anatomy: Anatomy) -> Anatomy:
    """Melanin hardly absorbs near infrared: skin and iris turn light, their differences fade."""
    level = 0.42 + 0.25 * (sum(anatomy.iris_rgb) / 3)
    return replace(
        anatomy,
        skin_tone=1 + 0.35 * (anatomy.skin_tone - 1),
        iris_rgb=(level, level, level),
        iris_inner_rgb=(level + 0.04, level + 0.04, level + 0.04),
        sclera_redness=0.0,
    )
