"""People: who they are and how their eyes look, so that what is written and what is seen agree.

The frequencies are rough and serve variety; they describe no real population.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from iip_assets.synthetic.parameters import Anatomy, PlantedEffects, Rgb, Side

T = TypeVar("T")
Gender = Literal["female", "male"]
Range = tuple[float, float]

# (outer colour, colour around the pupil, spread, strength of the fibres, limbal ring)
_IRISES: Mapping[str, tuple[Rgb, Rgb, float, Range, Range]] = {
    "dark_brown": ((0.17, 0.10, 0.065), (0.2, 0.12, 0.07), 0.03, (0.25, 0.6), (0.1, 0.5)),
    "brown": ((0.33, 0.20, 0.11), (0.4, 0.24, 0.12), 0.04, (0.4, 0.8), (0.2, 0.7)),
    "hazel": ((0.40, 0.34, 0.19), (0.47, 0.3, 0.14), 0.04, (0.5, 0.9), (0.3, 0.8)),
    "green": ((0.38, 0.44, 0.30), (0.52, 0.44, 0.24), 0.04, (0.5, 1.0), (0.3, 0.9)),
    "blue": ((0.36, 0.49, 0.60), (0.52, 0.56, 0.54), 0.05, (0.5, 1.0), (0.4, 1.0)),
    "grey": ((0.47, 0.51, 0.53), (0.54, 0.54, 0.5), 0.04, (0.4, 0.9), (0.4, 1.0)),
}
_HAIRS: Mapping[str, Rgb] = {
    "black": (0.085, 0.07, 0.065),
    "dark_brown": (0.17, 0.115, 0.085),
    "brown": (0.3, 0.205, 0.14),
    "blond": (0.5, 0.39, 0.25),
    "red": (0.42, 0.22, 0.11),
}
_GREY: Rgb = (0.6, 0.59, 0.58)


@dataclass(frozen=True)
class Heritage:
    """What an ethnicity makes likely."""

    share: float
    skin_tone: tuple[float, float]
    irises: Mapping[str, float]
    hairs: Mapping[str, float]
    single_lid: float
    epicanthus: Range
    tilt: tuple[float, float]
    geography: Mapping[str, float]


HERITAGES: Mapping[str, Heritage] = {
    "white": Heritage(
        share=0.36,
        skin_tone=(2.6, 0.8),
        irises={"brown": 0.24, "hazel": 0.18, "green": 0.14, "blue": 0.3, "grey": 0.14},
        hairs={"dark_brown": 0.4, "brown": 0.3, "blond": 0.22, "red": 0.08},
        single_lid=0.0,
        epicanthus=(0.0, 0.0),
        tilt=(0.05, 0.035),
        geography={"europe": 0.55, "north_america": 0.35, "oceania": 0.1},
    ),
    "black": Heritage(
        share=0.16,
        skin_tone=(8.3, 0.9),
        irises={"dark_brown": 0.8, "brown": 0.2},
        hairs={"black": 1.0},
        single_lid=0.02,
        epicanthus=(0.0, 0.1),
        tilt=(0.08, 0.035),
        geography={"africa": 0.5, "north_america": 0.3, "europe": 0.2},
    ),
    "asian": Heritage(
        share=0.22,
        skin_tone=(3.9, 0.8),
        irises={"dark_brown": 0.75, "brown": 0.25},
        hairs={"black": 0.9, "dark_brown": 0.1},
        single_lid=0.55,
        epicanthus=(0.4, 1.0),
        tilt=(0.13, 0.04),
        geography={"east_asia": 0.75, "north_america": 0.15, "oceania": 0.1},
    ),
    "indian": Heritage(
        share=0.15,
        skin_tone=(6.2, 0.9),
        irises={"dark_brown": 0.65, "brown": 0.3, "hazel": 0.05},
        hairs={"black": 0.85, "dark_brown": 0.15},
        single_lid=0.02,
        epicanthus=(0.0, 0.15),
        tilt=(0.07, 0.035),
        geography={"south_asia": 0.75, "europe": 0.15, "north_america": 0.1},
    ),
    "other": Heritage(
        share=0.11,
        skin_tone=(5.0, 1.0),
        irises={"dark_brown": 0.4, "brown": 0.4, "hazel": 0.15, "green": 0.05},
        hairs={"black": 0.5, "dark_brown": 0.45, "brown": 0.05},
        single_lid=0.08,
        epicanthus=(0.0, 0.4),
        tilt=(0.08, 0.04),
        geography={"latin_america": 0.6, "north_america": 0.25, "oceania": 0.15},
    ),
}


@dataclass(frozen=True)
class Subject:
    """A person. Empty text and None are what is not known; the image shows the truth."""

    subject_id: str
    heritage: str
    age_years: int
    written_age_years: int | None
    written_gender: str
    written_ethnicity: str
    written_geography: str
    eyes: Mapping[Side, Anatomy]
    wears_glasses: bool
    long_hair: bool


def pick(rng: np.random.Generator, weights: Mapping[T, float] | Sequence[tuple[T, float]]) -> T:
    """One of the values, by weight."""
    pairs = list(weights.items()) if isinstance(weights, Mapping) else list(weights)
    place = rng.uniform() * sum(weight for _, weight in pairs)
    for value, weight in pairs:
        place -= weight
        if place < 0:
            return value
    return pairs[-1][0]


def heritage_weights(effects: PlantedEffects) -> dict[str, float]:
    """The share of each ethnicity, the rare group's set and the others scaled to fill up.

    Raises:
        ValueError: The rare group is no ethnicity of this population.
    """
    shares = {name: heritage.share for name, heritage in HERITAGES.items()}
    if not effects.rare_group:
        return shares
    if effects.rare_group not in shares:
        known = ", ".join(shares)
        raise ValueError(f"rare_group is {effects.rare_group!r}, expected one of {known}")
    others = 1 - shares[effects.rare_group]
    scaled = {
        name: share / others * (1 - effects.rare_group_share) for name, share in shares.items()
    }
    return {**scaled, effects.rare_group: effects.rare_group_share}


def sample_subject(seed: int, number: int, effects: PlantedEffects) -> Subject:
    """The `number`-th person of a population: the same for the same seed and effects."""
    rng = np.random.default_rng([seed, number, 1])
    name = pick(rng, heritage_weights(effects))
    heritage = HERITAGES[name]
    gender: Gender = "female" if rng.uniform() < 0.52 else "male"
    ages = [rng.normal(34, 13), rng.normal(62, 11), rng.uniform(4, 18)]
    age = int(clipped(rng.choice(ages, p=[0.66, 0.22, 0.12]), 4, 92))
    common = _anatomy(rng, heritage, age=age, gender=gender)
    geography = pick(rng, heritage.geography)
    glasses = bool(rng.uniform() < 0.12 + 0.003 * age)
    long_hair = bool(rng.uniform() < (0.65 if gender == "female" else 0.15))
    unknown = rng.uniform(size=4) < effects.unknown_demographics
    return Subject(
        subject_id=f"S{seed % 100:02d}{number:05d}",
        heritage=name,
        age_years=age,
        written_age_years=None if unknown[0] else age,
        written_gender="" if unknown[1] else gender,
        written_ethnicity="" if unknown[2] else name,
        written_geography="" if unknown[3] else geography,
        eyes={"left": common, "right": _other_eye(rng, common)},
        wears_glasses=glasses,
        long_hair=long_hair,
    )


def _near(rng: np.random.Generator, colour: Rgb, spread: float) -> Rgb:
    """A colour close by, mostly lighter or darker, a little of another hue."""
    shade, hue = rng.normal(0, spread), rng.normal(0, spread / 3, 3)
    r, g, b = (clipped(c + shade + h, 0.03, 0.95) for c, h in zip(colour, hue, strict=True))
    return r, g, b


def _blend(first: Rgb, second: Rgb, share: float) -> Rgb:
    r, g, b = ((1 - share) * a + share * c for a, c in zip(first, second, strict=True))
    return r, g, b


def between(rng: np.random.Generator, limits: Range) -> float:
    """A number between two others."""
    return float(rng.uniform(*limits))


def clipped(value: float, low: float, high: float) -> float:
    """The value, or the limit that it lies beyond."""
    return float(np.clip(value, low, high))


def _anatomy(rng: np.random.Generator, heritage: Heritage, *, age: int, gender: Gender) -> Anatomy:
    years = clipped((age - 28) / 55, 0, 1.15)
    child = clipped((14 - age) / 12, 0, 1)
    female = gender == "female"
    outer, inner, spread, contrast, ring = _IRISES[pick(rng, heritage.irises)]
    hair = _near(rng, _HAIRS[pick(rng, heritage.hairs)], 0.02)
    greying = clipped((age - 48) / 35, 0, 0.9) * rng.uniform(0.2, 1.0)
    single = bool(rng.uniform() < heritage.single_lid)
    made_up = female and age > 15 and bool(rng.uniform() < 0.45)
    tone = clipped(rng.normal(*heritage.skin_tone), 1, 10)
    return Anatomy(
        skin_tone=tone,
        skin_redness=clipped(rng.normal(0.42, 0.18) + 0.1 * (tone < 3), 0, 1),
        hair_rgb=_blend(hair, _GREY, greying * 0.8),
        iris_rgb=_near(rng, outer, spread),
        iris_inner_rgb=_near(rng, inner, spread),
        iris_contrast=between(rng, contrast),
        iris_texture=int(rng.integers(0, 1000)),
        iris_radius=clipped(rng.normal(0.392 + 0.03 * child, 0.012), 0.35, 0.45),
        limbal_ring=between(rng, ring) * (1 - 0.6 * years),
        arcus=clipped((age - 58) / 30, 0, 1) * rng.uniform(0.2, 1.0),
        upper_height=clipped(rng.normal(0.385 - 0.05 * single + 0.03 * child, 0.03), 0.29, 0.48),
        lower_height=clipped(rng.normal(0.33, 0.022), 0.27, 0.4),
        tilt=float(rng.normal(*heritage.tilt)),
        crease_height=float(0.03 if single else np.clip(rng.normal(0.14, 0.045), 0.05, 0.26)),
        crease_depth=float(rng.uniform(0.0, 0.25) if single else rng.uniform(0.45, 1.0)),
        epicanthus=between(rng, heritage.epicanthus),
        droop=clipped(years * rng.uniform(0.2, 1.3), 0, 1),
        wrinkles=clipped(years * rng.uniform(0.6, 1.1) + 0.03, 0, 1),
        bags=clipped(years * rng.uniform(0.3, 1.0) + rng.uniform(0, 0.2), 0, 1),
        lash_length=float(rng.uniform(0.2, 0.3) + 0.05 * female + 0.05 * made_up - 0.05 * years),
        lash_density=clipped(rng.normal(0.6 + 0.15 * female - 0.25 * years, 0.15), 0.05, 1),
        liner=float(rng.uniform(0.55, 1.0) if made_up else rng.uniform(0.1, 0.45)),
        brow_height=float(rng.normal(1.02 + 0.07 * female - 0.05 * years, 0.07)),
        brow_thickness=clipped(rng.normal(0.19 if female else 0.27, 0.04), 0.1, 0.4),
        sclera_redness=clipped(rng.gamma(2.0, 0.11) + 0.1 * years, 0, 1),
        sclera_yellow=clipped(0.05 + 0.03 * tone + 0.3 * years + rng.normal(0, 0.08), 0, 1),
    )


def _other_eye(rng: np.random.Generator, eye: Anatomy) -> Anatomy:
    """The second eye of a person: alike, not equal."""
    return replace(
        eye,
        iris_texture=eye.iris_texture + 1,
        upper_height=eye.upper_height + float(rng.normal(0, 0.008)),
        tilt=eye.tilt + float(rng.normal(0, 0.012)),
        crease_height=eye.crease_height + float(rng.normal(0, 0.01)),
    )
