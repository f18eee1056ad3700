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
    """What stays the same in every photograph of one eye.

    Attributes:
        skin_tone: Place on the Monk scale, 1 (lightest) to 10 (darkest).
        skin_redness: 0 to 1.
        hair_rgb: Brows, lashes and hair, sRGB 0 to 1.
        iris_rgb: Outer part of the iris, sRGB 0 to 1.
        iris_inner_rgb: The iris around the pupil.
        iris_contrast: Strength of the radial fibres, 0 to 1.
        iris_texture: Which of the fibre patterns, any whole number from 0.
        iris_radius: In half eye widths, about 0.39 (11.7 mm of a 30 mm wide eye).
        limbal_ring: Darkness of the ring around the iris, 0 to 1.
        arcus: Pale ring at the limbus that comes with age, 0 to 1.
        upper_height: Peak of the upper lid over the line between the corners.
        lower_height: Depth of the lower lid under it.
        tilt: Rise of the outer corner per unit.
        crease_height: From the lid to its crease.
        crease_depth: 0 (single lid) to 1 (deep fold).
        epicanthus: Fold over the inner corner, 0 to 1.
        droop: Outer half of the upper lid sinking, 0 to 1.
        wrinkles: 0 to 1.
        bags: Fullness under the eye, 0 to 1.
        lash_length: In half eye widths.
        lash_density: 0 to 1.
        liner: Darkness of the lid margin, 0 to 1.
        brow_height: Middle of the brow above the eye.
        brow_thickness: In half eye widths.
        sclera_redness: 0 to 1.
        sclera_yellow: 0 to 1.
        lens_pattern: Strength of a patterned contact lens, 0 for none.
        lens_rgb: Its colour.
    """

    skin_tone: float = 4.0
    skin_redness: float = 0.4
    hair_rgb: Rgb = (0.16, 0.11, 0.08)
    iris_rgb: Rgb = (0.36, 0.22, 0.12)
    iris_inner_rgb: Rgb = (0.42, 0.25, 0.12)
    iris_contrast: float = 0.6
    iris_texture: int = 0
    iris_radius: float = 0.39
    limbal_ring: float = 0.5
    arcus: float = 0.0
    upper_height: float = 0.37
    lower_height: float = 0.33
    tilt: float = 0.06
    crease_height: float = 0.16
    crease_depth: float = 0.7
    epicanthus: float = 0.0
    droop: float = 0.0
    wrinkles: float = 0.1
    bags: float = 0.1
    lash_length: float = 0.26
    lash_density: float = 0.6
    liner: float = 0.4
    brow_height: float = 1.0
    brow_thickness: float = 0.22
    sclera_redness: float = 0.2
    sclera_yellow: float = 0.1
    lens_pattern: float = 0.0
    lens_rgb: Rgb = (0.3, 0.6, 0.8)


@dataclass(frozen=True)
class Pose:
    """How the eye stands in the frame at the moment of the shot.

    Attributes:
        side: Which eye; the nose is at the image's left for a left eye.
        centre_x: Middle of the eye in frame widths from the left; outside 0..1 is off frame.
        centre_y: In frame heights from the top.
        scale: Half an eye width in frame widths.
        roll_rad: Turn of the head in the image plane.
        aperture: 0 closed, 1 at rest, more when wide open.
        gaze_x_rad: Towards the outer corner where positive.
        gaze_y_rad: Upwards where positive.
        pupil_ratio: Pupil diameter over iris diameter.
        hair_only: Nothing but hair is in the frame.
    """

    side: Side = "left"
    centre_x: float = 0.5
    centre_y: float = 0.52
    scale: float = 0.34
    roll_rad: float = 0.0
    aperture: float = 1.0
    gaze_x_rad: float = 0.0
    gaze_y_rad: float = 0.0
    pupil_ratio: float = 0.38
    hair_only: bool = False


@dataclass(frozen=True)
class Light:
    """Where light comes from and how much of it.

    Attributes:
        azimuth_rad: Direction in the image plane; 0 is from the right, pi/2 from above.
        slant: 0 frontal to 1 grazing.
        ambient: Share of light without direction, 0 to 1.
        falloff: How much darker the far side of the frame is, 0 to 1.
        exposure: Gain of the whole image; 1 is well lit.
        glint: Size of the corneal reflection in iris radii.
        glint_kind: Its shape.
        glare: A reflection that washes the image out, 0 to 1.
    """

    azimuth_rad: float = 1.9
    slant: float = 0.5
    ambient: float = 0.5
    falloff: float = 0.2
    exposure: float = 1.0
    glint: float = 0.14
    glint_kind: GlintKind = "point"
    glare: float = 0.0


@dataclass(frozen=True)
class Camera:
    """What the device does to the light.

    Attributes:
        blur_px: Standard deviation of the defocus at a frame width of 160.
        motion_px: Length of the motion blur at that width.
        motion_rad: Its direction.
        noise: Standard deviation at mid grey, in units of full scale.
        cast_rgb: Gain of each channel.
        contrast: 1 is neutral.
        saturation: 1 is neutral, 0 is grey.
        vignette: Darkening of the corners, 0 to 1.
        monochrome: One grey channel, as an infrared camera gives.
        jpeg_quality: 1 to 100.
    """

    blur_px: float = 0.6
    motion_px: float = 0.0
    motion_rad: float = 0.0
    noise: float = 0.012
    cast_rgb: Rgb = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    saturation: float = 1.0
    vignette: float = 0.1
    monochrome: bool = False
    jpeg_quality: int = 82


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
    """How much of what is planted. Shares are of all images and hold on average; 0 plants nothing.

    Attributes:
        label_errors: Share of images whose label is wrong.
        mask_errors: Share of images that show an eye whose mask is shifted, grown, shrunk or
            lacks a class.
        unclear: Share of images labelled `unclear`.
        unlabelled: Share of images with an empty label.
        without_mask: Share of images for which no mask was drawn.
        rare_modes: Share of images with heavy glare, a patterned contact lens or an infrared
            camera.
        rare_group: An ethnicity that is made rarer and darker, "" for none.
        rare_group_share: Its share of subjects.
        rare_group_dimming: How much less light its images have, 0 to under 1.
        drift: Strength of the last batch's drift (darker, blurrier, warmer, a new device);
            0 none, 1 strong.
        exact_duplicates: Share of images that are another image's bytes.
        near_duplicates: Share of images that are another shot, brightened and encoded again.
        unknown_demographics: Chance that one of a subject's details is not known.
    """

    label_errors: float = 0.0
    mask_errors: float = 0.0
    unclear: float = 0.0
    unlabelled: float = 0.0
    without_mask: float = 0.0
    rare_modes: float = 0.0
    rare_group: str = ""
    rare_group_share: float = 0.08
    rare_group_dimming: float = 0.3
    drift: float = 0.0
    exact_duplicates: float = 0.0
    near_duplicates: float = 0.0
    unknown_demographics: float = 0.0

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
