"""What is planted in a rendered dataset on purpose, so that tests know what there is to find."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

LabelFate = Literal["right", "wrong", "unclear", "unlabelled"]
MaskError = Literal["shifted", "dilated", "eroded", "no_pupil", "no_sclera"]
RareMode = Literal["glare", "patterned_lens", "infrared"]

RARE_MODES: tuple[RareMode, ...] = ("glare", "patterned_lens", "infrared")
MASK_ERRORS: tuple[MaskError, ...] = ("shifted", "dilated", "eroded", "no_pupil", "no_sclera")


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
