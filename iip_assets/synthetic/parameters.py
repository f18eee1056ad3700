"""Everything that decides what one rendered photograph shows. Values only; nothing is drawn here.

Lengths on the face are in half eye widths: 1.0 is from the middle of the eye to a corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

Rgb = tuple[float, float, float]
Side = Literal["left", "right"]
Scenery = Literal["plain", "strand", "room", "glasses"]
GlintKind = Literal["point", "window", "ring", "two"]

LabelFate = Literal["right", "wrong", "unclear", "unlabelled"]
MaskError = Literal["shifted", "dilated", "eroded", "no_pupil", "no_sclera"]
RareMode = Literal["glare", "patterned_lens", "infrared"]
RARE_MODES: tuple[RareMode, ...] = ("glare", "patterned_lens", "infrared")
MASK_ERRORS: tuple[MaskError, ...] = ("shifted", "dilated", "eroded", "no_pupil", "no_sclera")


@dataclass(frozen=True)
class Anatomy:
    """What stays the same in every photograph of one eye."""

    skin_tone: float = 4.0  # place on the Monk scale, 1 (lightest) to 10 (darkest)
    skin_redness: float = 0.4  # 0 to 1
    hair_rgb: Rgb = (0.16, 0.11, 0.08)  # brows, lashes and hair, sRGB 0 to 1
    iris_rgb: Rgb = (0.36, 0.22, 0.12)  # outer part of the iris, sRGB 0 to 1
    iris_inner_rgb: Rgb = (0.42, 0.25, 0.12)  # the iris around the pupil
    iris_contrast: float = 0.6  # strength of the radial fibres, 0 to 1
    iris_texture: int = 0  # which of the fibre patterns, any whole number from 0
    iris_radius: float = 0.39  # in half eye widths, about 0.39 (11.7 mm of a 30 mm wide eye)
    limbal_ring: float = 0.5  # darkness of the ring around the iris, 0 to 1
    arcus: float = 0.0  # pale ring at the limbus that comes with age, 0 to 1
    upper_height: float = 0.37  # peak of the upper lid over the line between the corners
    lower_height: float = 0.33  # depth of the lower lid under it
    tilt: float = 0.06  # rise of the outer corner per unit
    crease_height: float = 0.16  # from the lid to its crease
    crease_depth: float = 0.7  # 0 (single lid) to 1 (deep fold)
    epicanthus: float = 0.0  # fold over the inner corner, 0 to 1
    droop: float = 0.0  # outer half of the upper lid sinking, 0 to 1
    wrinkles: float = 0.1  # 0 to 1
    bags: float = 0.1  # fullness under the eye, 0 to 1
    lash_length: float = 0.26  # in half eye widths
    lash_density: float = 0.6  # 0 to 1
    liner: float = 0.4  # darkness of the lid margin, 0 to 1
    brow_height: float = 1.0  # middle of the brow above the eye
    brow_thickness: float = 0.22  # in half eye widths
    sclera_redness: float = 0.2  # 0 to 1
    sclera_yellow: float = 0.1  # 0 to 1
    lens_pattern: float = 0.0  # strength of a patterned contact lens, 0 for none
    lens_rgb: Rgb = (0.3, 0.6, 0.8)  # its colour


@dataclass(frozen=True)
class Pose:
    """How the eye stands in the frame at the moment of the shot."""

    side: Side = "left"  # which eye; the nose is at the image's left for a left eye
    # Middle of the eye in frame widths from the left; outside 0..1 is off frame.
    centre_x: float = 0.5
    centre_y: float = 0.52  # in frame heights from the top
    scale: float = 0.34  # half an eye width in frame widths
    roll_rad: float = 0.0  # turn of the head in the image plane
    aperture: float = 1.0  # 0 closed, 1 at rest, more when wide open
    gaze_x_rad: float = 0.0  # towards the outer corner where positive
    gaze_y_rad: float = 0.0  # upwards where positive
    pupil_ratio: float = 0.38  # pupil diameter over iris diameter
    hair_only: bool = False  # nothing but hair is in the frame


@dataclass(frozen=True)
class Light:
    """Where light comes from and how much of it."""

    azimuth_rad: float = 1.9  # direction in the image plane; 0 is from the right, pi/2 from above
    slant: float = 0.5  # 0 frontal to 1 grazing
    ambient: float = 0.5  # share of light without direction, 0 to 1
    falloff: float = 0.2  # how much darker the far side of the frame is, 0 to 1
    exposure: float = 1.0  # gain of the whole image; 1 is well lit
    glint: float = 0.14  # size of the corneal reflection in iris radii
    glint_kind: GlintKind = "point"  # its shape
    glare: float = 0.0  # a reflection that washes the image out, 0 to 1


@dataclass(frozen=True)
class Camera:
    """What the device does to the light."""

    blur_px: float = 0.6  # standard deviation of the defocus at a frame width of 160
    motion_px: float = 0.0  # length of the motion blur at that width
    motion_rad: float = 0.0  # its direction
    noise: float = 0.012  # standard deviation at mid grey, in units of full scale
    cast_rgb: Rgb = (1.0, 1.0, 1.0)  # gain of each channel
    contrast: float = 1.0  # 1 is neutral
    saturation: float = 1.0  # 1 is neutral, 0 is grey
    vignette: float = 0.1  # darkening of the corners, 0 to 1
    monochrome: bool = False  # one grey channel, as an infrared camera gives
    jpeg_quality: int = 82  # 1 to 100


@dataclass(frozen=True)
class EyeParameters:
    """One photograph. `seed` picks what has no parameter: each lash and pore, sensor noise."""

    anatomy: Anatomy = field(default_factory=Anatomy)
    pose: Pose = field(default_factory=Pose)
    light: Light = field(default_factory=Light)
    camera: Camera = field(default_factory=Camera)
    scenery: Scenery = "plain"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PlantedEffects:
    """How much of what is planted. Shares are of all images, on average; 0 plants nothing."""

    label_errors: float = 0.0  # share of images whose label is wrong
    # Share of images that show an eye whose mask is shifted, grown, shrunk or lacks a class.
    mask_errors: float = 0.0
    unclear: float = 0.0  # share of images labelled `unclear`
    unlabelled: float = 0.0  # share of images with an empty label
    without_mask: float = 0.0  # share of images for which no mask was drawn
    # Share of images with heavy glare, a patterned contact lens or an infrared camera.
    rare_modes: float = 0.0
    rare_group: str = ""  # an ethnicity that is made rarer and darker, "" for none
    rare_group_share: float = 0.08  # its share of subjects
    rare_group_dimming: float = 0.3  # how much less light its images have, 0 to under 1
    # Strength of the last batch's drift (darker, blurrier, warmer, a new device); 0 none, 1 strong.
    drift: float = 0.0
    exact_duplicates: float = 0.0  # share of images that are another image's bytes
    # Share of images that are another shot, brightened and encoded again.
    near_duplicates: float = 0.0
    unknown_demographics: float = 0.0  # chance that one of a subject's details is not known

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name not in ("rare_group", "drift") and not 0 <= value <= 1:
                raise ValueError(f"{entry.name} is {value}, expected a share from 0 to 1")
        if not 0 <= self.drift <= 2:
            raise ValueError(f"drift is {self.drift}, expected a strength from 0 (none) to 2")
        if self.rare_group_dimming == 1:
            raise ValueError("rare_group_dimming is 1, which leaves no light; take less than 1")
        for names in (
            ("label_errors", "unclear", "unlabelled"),
            ("exact_duplicates", "near_duplicates"),
        ):
            total = sum(getattr(self, name) for name in names)
            if total > 1:
                raise ValueError(f"{' + '.join(names)} is {total:g}, expected at most 1")


def plant_effects(base: PlantedEffects, assignments: Sequence[str]) -> PlantedEffects:
    """`base` with effects such as "drift=1" set over it.

    Raises:
        ValueError: There is no such effect, or its value is not what it takes.
    """
    known = {entry.name for entry in fields(base)}
    changes: dict[str, Any] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in known:
            raise ValueError(f"{name!r} is no effect; there are {', '.join(sorted(known))}")
        try:
            changes[name] = text if name == "rare_group" else float(text)
        except ValueError:
            raise ValueError(f"{assignment!r}: {name} takes a number, such as {name}=0.1") from None
    return replace(base, **changes)


# The sample that ships: near to clean, with a little of what every real dataset has.
SAMPLE = PlantedEffects(
    label_errors=0.03,
    mask_errors=0.02,
    unclear=0.015,
    rare_modes=0.025,
    rare_group="black",
    rare_group_share=0.1,
    rare_group_dimming=0.22,
    drift=0.6,
    near_duplicates=0.01,
    unknown_demographics=0.04,
)
