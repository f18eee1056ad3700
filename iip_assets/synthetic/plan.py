"""What the i-th image of a dataset will be: a pure function of seed, number and batches.

Each image draws from its own streams, so neither threads nor the number of images change it.
Planted effects have a stream of their own: planting label errors changes no pixel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from iip_assets.synthetic.parameters import (
    MASK_ERRORS,
    RARE_MODES,
    EyeParameters,
    LabelFate,
    MaskError,
    PlantedEffects,
    RareMode,
)
from iip_assets.synthetic.population import Subject, pick, sample_subject
from iip_assets.synthetic.shots import DRIFTED_SITE, SITES, Shot, Site, sample_shot

_SUBJECTS, _SHOT, _PLANTED, _COPIES = 2, 3, 4, 5  # streams; 1 is a person's own
_SHOTS_OF_TWO_SUBJECTS = 12
_RETURNING = 0.1
_FIRST_YEAR, _MONTHS_BETWEEN_BATCHES = 2026, 2


@dataclass(frozen=True)
class Dataset:
    """What is to be generated."""

    images: int
    seed: int
    batches: int
    effects: PlantedEffects

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}, expected a whole number from 0")
        if self.batches < 1 or self.images < self.batches:
            raise ValueError(
                f"{self.images} images in {self.batches} batches: expected at least one batch, "
                "and an image for each"
            )

    def batch_of(self, index: int) -> int:
        """The batch, from 0, of the image with this number."""
        return index * self.batches // self.images

    def batch_name(self, batch: int) -> str:
        """The folder of a batch, such as `2026-03-mobile`; names sort by time."""
        year, month = _month(batch)
        return f"{year}-{month:02d}-{self.site(batch).name}"

    def site(self, batch: int) -> Site:
        """Where a batch comes from; the last is a new site where it drifts."""
        return DRIFTED_SITE if self.drifts(batch) else SITES[batch % len(SITES)]

    def drifts(self, batch: int) -> bool:
        """Whether this is the last batch, and it drifts."""
        return self.effects.drift > 0 and batch == self.batches - 1


def _month(batch: int) -> tuple[int, int]:
    """Year and month of a batch."""
    months = batch * _MONTHS_BETWEEN_BATCHES
    return _FIRST_YEAR + months // 12, 1 + months % 12


@dataclass(frozen=True)
class PlannedImage:
    """One image before it is rendered, with all that is planted in it."""

    index: int  # its number in the dataset
    batch: int  # its batch, from 0
    subject: Subject  # who is shown
    shot: Shot  # how, the parameters with the batch's drift applied
    device: str  # the device's name
    captured_at: datetime  # local time
    fate: LabelFate  # what the labeler does
    mask_error: MaskError | None  # what is wrong with the mask, if it shows an eye
    masked: bool  # whether a mask was drawn
    rare_mode: RareMode | None  # which one it shows
    error_seed: int  # for drawing the label's and the mask's error
    same_as: int | None = None  # the image whose bytes, label and mask it repeats
    nearly_as: int | None = None  # the image whose shot it is, encoded again


def subject_number(seed: int, index: int) -> int:
    """Who is on an image: runs of 3 to 9 shots, now and then of somebody seen before."""
    pair, place = divmod(index, _SHOTS_OF_TWO_SUBJECTS)
    cut = int(np.random.default_rng([seed, pair, _SUBJECTS]).integers(3, 10))
    number = 2 * pair + (place >= cut)
    while number >= 8:
        rng = np.random.default_rng([seed, number, _SUBJECTS, 1])
        if rng.uniform() >= _RETURNING:
            break
        number = int(rng.integers(0, number))
    return number


def plan_image(dataset: Dataset, index: int) -> PlannedImage:
    """The plan of one image, copies included."""
    effects = dataset.effects
    source, exact = _copied(dataset.seed, index, effects)
    if source is None:
        return _original(dataset, index)
    original = _original(dataset, source)
    if exact:
        return replace(
            original, index=index, batch=dataset.batch_of(index), same_as=source, nearly_as=None
        )
    own = _original(dataset, index)
    rng = np.random.default_rng([dataset.seed, index, _COPIES, 1])
    parameters = original.shot.parameters
    camera = replace(
        parameters.camera,
        jpeg_quality=max(60, parameters.camera.jpeg_quality - int(rng.integers(3, 12))),
    )
    light = replace(
        parameters.light, exposure=parameters.light.exposure * float(rng.uniform(1.02, 1.1))
    )
    brightened = replace(parameters, camera=camera, light=light)
    return replace(
        original,
        index=index,
        batch=own.batch,
        shot=replace(original.shot, parameters=brightened),
        fate=own.fate,
        mask_error=own.mask_error,
        masked=own.masked,
        error_seed=own.error_seed,
        nearly_as=source,
    )


def _copied(seed: int, index: int, effects: PlantedEffects) -> tuple[int | None, bool]:
    """(the earlier image that this one copies or None for an original, whether to the byte)."""
    copies = effects.exact_duplicates + effects.near_duplicates
    if index == 0 or copies == 0:
        return None, False
    rng = np.random.default_rng([seed, index, _COPIES])
    draw = rng.uniform()
    if draw >= copies:
        return None, False
    for _ in range(64):
        source = int(rng.integers(max(0, index - 200), index))
        if _copied(seed, source, effects)[0] is None:
            return source, bool(draw < effects.exact_duplicates)
    return 0, bool(draw < effects.exact_duplicates)


def _original(dataset: Dataset, index: int) -> PlannedImage:
    """The image as it is where it copies none."""
    seed, effects = dataset.seed, dataset.effects
    batch = dataset.batch_of(index)
    subject = sample_subject(seed, subject_number(seed, index), effects)
    planted = np.random.default_rng([seed, index, _PLANTED])
    fate_draw, mask_draw, masked_draw, rare_draw = planted.uniform(size=4)
    rare_mode = RARE_MODES[int(planted.integers(len(RARE_MODES)))]
    mask_error = MASK_ERRORS[int(planted.integers(len(MASK_ERRORS)))]
    rng = np.random.default_rng([seed, index, _SHOT])
    device = pick(rng, dataset.site(batch).devices)
    shown_mode = rare_mode if rare_draw < effects.rare_modes else None
    shot = sample_shot(rng, subject, device, rare_mode=shown_mode)
    parameters = _dimmed(shot.parameters, subject, effects)
    if dataset.drifts(batch):
        parameters = _drifted(parameters, effects.drift)
    return PlannedImage(
        index=index,
        batch=batch,
        subject=subject,
        shot=replace(shot, parameters=parameters),
        device=device.name,
        captured_at=_moment(rng, batch),
        fate=_fate(float(fate_draw), effects),
        mask_error=mask_error if mask_draw < effects.mask_errors else None,
        masked=bool(masked_draw >= effects.without_mask),
        rare_mode=shown_mode,
        error_seed=int(planted.integers(2**31)),
    )


def _fate(draw: float, effects: PlantedEffects) -> LabelFate:
    if draw < effects.unlabelled:
        return "unlabelled"
    if draw < effects.unlabelled + effects.unclear:
        return "unclear"
    return (
        "wrong" if draw < effects.unlabelled + effects.unclear + effects.label_errors else "right"
    )


def _moment(rng: np.random.Generator, batch: int) -> datetime:
    """Some working hour of the batch's month."""
    year, month = _month(batch)
    day, second = int(rng.integers(0, 28)), int(rng.integers(8 * 3600, 18 * 3600))
    return datetime(year, month, 1) + timedelta(days=day, seconds=second)


def _dimmed(parameters: EyeParameters, subject: Subject, effects: PlantedEffects) -> EyeParameters:
    if not effects.rare_group or subject.heritage != effects.rare_group:
        return parameters
    exposure = parameters.light.exposure * (1 - effects.rare_group_dimming)
    return replace(parameters, light=replace(parameters.light, exposure=exposure))


def _drifted(parameters: EyeParameters, strength: float) -> EyeParameters:
    """Darker, blurrier, warmer and a little noisier."""
    camera, light = parameters.camera, parameters.light
    r, g, b = camera.cast_rgb
    return replace(
        parameters,
        light=replace(light, exposure=light.exposure * (1 - 0.38 * min(strength, 1.8))),
        camera=replace(
            camera,
            blur_px=camera.blur_px + 1.1 * strength,
            noise=camera.noise * (1 + 0.5 * strength),
            cast_rgb=(r * (1 + 0.16 * strength), g, b * (1 - 0.22 * strength)),
        ),
    )
