"""Where batches come from: sites, their devices, and what a device does to an image."""

from __future__ import annotations

from dataclasses import dataclass

from iip_assets.synthetic.parameters import Rgb

Range = tuple[float, float]


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


_DESK = Device(
    name="desk_camera",
    blur_px=(0.4, 0.8),
    noise=(0.006, 0.014),
    cast_rgb=(1.0, 1.0, 1.0),
    cast_spread=0.02,
    contrast=(0.98, 1.15),
    saturation=(0.95, 1.1),
    vignette=(0.0, 0.15),
    exposure=(0.85, 1.2),
    scale=(0.3, 0.4),
    jpeg_quality=(91, 95),
    handheld=False,
)
_PHONE_A = Device(
    name="phone_a",
    blur_px=(0.4, 1.3),
    noise=(0.008, 0.03),
    cast_rgb=(1.04, 1.0, 0.93),
    cast_spread=0.07,
    contrast=(0.95, 1.25),
    saturation=(1.0, 1.35),
    vignette=(0.0, 0.2),
    exposure=(0.6, 1.3),
    scale=(0.23, 0.42),
    jpeg_quality=(82, 93),
    handheld=True,
)
_PHONE_B = Device(
    name="phone_b",
    blur_px=(0.5, 1.6),
    noise=(0.015, 0.045),
    cast_rgb=(0.95, 1.0, 1.06),
    cast_spread=0.07,
    contrast=(0.85, 1.1),
    saturation=(0.7, 1.05),
    vignette=(0.05, 0.35),
    exposure=(0.5, 1.15),
    scale=(0.23, 0.42),
    jpeg_quality=(76, 88),
    handheld=True,
)
_KIOSK = Device(
    name="kiosk",
    blur_px=(0.7, 1.5),
    noise=(0.012, 0.03),
    cast_rgb=(0.97, 1.03, 0.96),
    cast_spread=0.04,
    contrast=(0.9, 1.1),
    saturation=(0.75, 1.0),
    vignette=(0.1, 0.4),
    exposure=(0.6, 1.1),
    scale=(0.2, 0.34),
    jpeg_quality=(80, 90),
    handheld=False,
)

# What the drifted batch is taken with: its darkness, blur and cast come from the drift's strength.
NEW_DEVICE = Device(
    name="headset_v2",
    blur_px=(0.5, 1.1),
    noise=(0.012, 0.03),
    cast_rgb=(1.0, 1.0, 1.0),
    cast_spread=0.03,
    contrast=(0.95, 1.15),
    saturation=(0.9, 1.1),
    vignette=(0.1, 0.4),
    exposure=(0.75, 1.15),
    scale=(0.27, 0.42),
    jpeg_quality=(82, 91),
    handheld=False,
)

SITES: tuple[Site, ...] = (
    Site("clinic", ((_DESK, 0.85), (_PHONE_A, 0.15))),
    Site("mobile", ((_PHONE_A, 0.6), (_PHONE_B, 0.4))),
    Site("kiosk", ((_KIOSK, 0.8), (_PHONE_B, 0.2))),
    Site("field", ((_PHONE_B, 0.45), (_PHONE_A, 0.3), (_DESK, 0.25))),
)
DRIFTED_SITE = Site("headset", ((NEW_DEVICE, 1.0),))

FIRST_YEAR, MONTHS_BETWEEN_BATCHES = 2026, 2


def batch_site(batch: int, batches: int, *, drifted: bool) -> Site:
    """The site of the `batch`-th (from 0) of all batches; the last is a new one where it drifts."""
    if drifted and batch == batches - 1:
        return DRIFTED_SITE
    return SITES[batch % len(SITES)]


def batch_month(batch: int) -> tuple[int, int]:
    """(year, month) of the `batch`-th batch."""
    months = batch * MONTHS_BETWEEN_BATCHES
    return FIRST_YEAR + months // 12, 1 + months % 12


def batch_name(batch: int, batches: int, *, drifted: bool) -> str:
    """Such as `2026-03-mobile`; names sort by time."""
    year, month = batch_month(batch)
    return f"{year}-{month:02d}-{batch_site(batch, batches, drifted=drifted).name}"
