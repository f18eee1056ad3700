"""What goes wrong with images of eyes: each changes an image, and its mask where that moves.

Severity 1 is hardly seen, at 5 a person still finds the eye. Lengths are in radii of the iris,
which is found in the mask; without a mask, or an iris in it, the eye is taken to lie in the middle,
with an iris of a sixth of the image's width. What is seen through (lashes) or seen on the eye (a
reflection) leaves the mask as it is, as labelers do; what hides the eye (a lid, a frame) is
background.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.robustness.common_corruptions import (
    elastic_transform,
    with_noise,
    with_shot_noise,
)
from iip_assets.robustness.draws import (
    Draws,
    Floats,
    Image,
    Mask,
    grid,
    mixed,
    pixels,
    sample,
    warped,
)

# Of an iris whose eye is not known: its radius in widths of the image, its pupil's in its own.
_GUESSED_IRIS, _GUESSED_PUPIL = 1 / 6, 0.4
_NO_CLASS = 256
_PALE_SKIN = (190, 150, 130)
_FRAME_COLOURS = ((28, 26, 30), (70, 45, 30), (120, 120, 125), (25, 35, 70))


@dataclass(frozen=True)
class Eye:
    """An image and where its eye is.

    Attributes:
        image: (H, W, 3).
        mask: (H, W), or None.
        x: Of the middle of the iris, in pixels.
        y: Likewise.
        iris_px: Its radius.
        pupil_px: The pupil's.
        opening: (H, W), where the mask shows any part of the eye; nowhere without a mask.
        hidden: What the mask says of what is covered.
    """

    image: Image
    mask: Mask
    x: float
    y: float
    iris_px: float
    pupil_px: float
    opening: NDArray[np.bool_]
    hidden: int


def find_eye(image: Image, mask: Mask, mask_classes: Sequence[str]) -> Eye:
    """Where the eye of an image is, by its mask, with these classes."""
    height, width = image.shape[:2]
    places = {name: place for place, name in enumerate(mask_classes)}
    hidden = places.get("background", NOT_LABELLED)
    seen = np.full((height, width), NOT_LABELLED, np.uint8) if mask is None else mask
    opening = (seen != hidden) & (seen != NOT_LABELLED) & (hidden != NOT_LABELLED)
    # No mask has the number that stands for a class of which there is none.
    pupil = seen == places.get("pupil", _NO_CLASS)
    iris = _disc((seen == places.get("iris", _NO_CLASS)) | pupil)
    if iris is None:
        iris = (width - 1) / 2, (height - 1) / 2, width * _GUESSED_IRIS
    found = _disc(pupil)
    pupil_px = iris[2] * _GUESSED_PUPIL if found is None else min(found[2], 0.9 * iris[2])
    return Eye(image, mask, *iris, pupil_px, opening, hidden)


def _disc(region: NDArray[np.bool_]) -> tuple[float, float, float] | None:
    """Centre and radius of a disc of which lids may hide the upper and the lower part.

    It is as wide as the widest rows, and lies where they are.
    """
    if not region.any():
        return None
    wide = region.sum(axis=1)
    rows = np.flatnonzero(wide * 50 >= wide.max() * 49)
    columns = np.flatnonzero(region[rows].any(axis=0))
    middle = (float(columns[0]) + float(columns[-1])) / 2
    return middle, (float(rows[0]) + float(rows[-1])) / 2, max(float(wide.max()) / 2, 1.0)


def off_gaze(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """The eye looks aside: iris and pupil move, the sclera gives way, lids and skin stay."""
    reach = (0.12, 0.25, 0.4, 0.55, 0.7)[severity - 1] * eye.iris_px * draws.sign()
    return warped(eye.image, eye.mask, *_turned(eye, reach))


def _turned(eye: Eye, reach_px: float) -> tuple[Floats, Floats]:
    """From where each pixel comes when the iris moves to the right."""
    x, y = grid(eye.image.shape)
    away = _distance(x - eye.x - reach_px / 2, y - eye.y) / eye.iris_px
    inner = 1 + abs(reach_px) / eye.iris_px / 2
    return x - reach_px * _fall((away - inner) / 1.3), y


def pupil_dilation(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """The pupil widens to as much as 0.8 of the iris, whose rim stays where it is."""
    del draws
    share = (0.1, 0.25, 0.45, 0.7, 1.0)[severity - 1]
    wide = eye.pupil_px + share * max(0.0, 0.8 * eye.iris_px - eye.pupil_px)
    x, y = grid(eye.image.shape)
    away = np.maximum(_distance(x - eye.x, y - eye.y), 1e-9)
    ring = (eye.iris_px - eye.pupil_px) / (eye.iris_px - wide)
    source = np.where(
        away <= wide, away * eye.pupil_px / wide, eye.iris_px - (eye.iris_px - away) * ring
    )
    nearer = np.where(away < eye.iris_px, source / away, 1.0)
    return warped(eye.image, eye.mask, eye.x + (x - eye.x) * nearer, eye.y + (y - eye.y) * nearer)


def occluding_lid(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """The upper lid comes down with its lashes and skin, over as much as 0.6 of the iris."""
    del draws
    height = eye.image.shape[0]
    x, y = grid(eye.image.shape)
    arch = 1 - ((x[0] - eye.x) / (2.6 * eye.iris_px)) ** 2
    guessed = eye.y - 0.9 * eye.iris_px * arch
    seen = eye.opening.any(axis=0)
    edge = np.where(seen, eye.opening.argmax(axis=0), guessed) if seen.any() else guessed
    top = eye.y - eye.iris_px
    lowest = top + (0.12, 0.24, 0.36, 0.48, 0.6)[severity - 1] * 2 * eye.iris_px
    lid = np.clip(np.maximum(edge, edge + (lowest - edge) * np.clip(arch, 0, 1)), 0, height)
    edge = np.clip(edge, 0, height)
    # The skin above is stretched down to the lid's new edge.
    above = np.maximum(edge - 1.6 * eye.iris_px, 0)
    stretch = np.maximum(edge - above, 0) / np.maximum(lid - above, 1e-9)
    covered = (y >= above) & (y < lid) & (lid > edge)
    source = np.where(covered, np.minimum(above + (y - above) * stretch, edge - 1), y)
    image = pixels(sample(eye.image, x, np.maximum(source, 0)))
    bare = covered & (edge < 2)
    skin = eye.image[~eye.opening]
    colour = np.median(skin, axis=0) if len(skin) else _PALE_SKIN
    image[bare] = colour
    mask = None if eye.mask is None else np.where(covered, np.uint8(eye.hidden), eye.mask)
    return image, mask


def glasses_frame(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """The rim of glasses around the eye, thicker and nearer, until it crosses the iris."""
    thick = (0.08, 0.12, 0.17, 0.23, 0.3)[severity - 1] * eye.iris_px
    half_height = (2.6, 2.1, 1.6, 1.2, 0.9)[severity - 1] * eye.iris_px
    # Of an eye that fills the image the rim is at its edge.
    half_height = min(half_height, (0.48 - 0.04 * severity) * eye.image.shape[0])
    half_width = (3.4, 3.2, 3.0, 2.8, 2.6)[severity - 1] * eye.iris_px
    colour = _FRAME_COLOURS[int(draws.between(0, len(_FRAME_COLOURS)))]
    x, y = grid(eye.image.shape)
    lowered = draws.between(0.0, 0.4) * eye.iris_px
    corner = 0.6 * half_height
    out_x = np.abs(x - eye.x) - half_width + corner
    out_y = np.abs(y - eye.y - lowered) - half_height + corner
    beyond = _distance(np.maximum(out_x, 0), np.maximum(out_y, 0))
    beyond = beyond + np.minimum(np.maximum(out_x, out_y), 0) - corner
    share = np.clip(thick / 2 - np.abs(beyond) + 0.5, 0, 1)
    if eye.mask is None:
        return mixed(eye.image, colour, share), None
    mask = np.where(share > 0.5, np.uint8(eye.hidden), eye.mask)
    return mixed(eye.image, colour, share), mask


def lashes(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """Dark lashes that hang from the upper lid before the eye."""
    count = (6, 10, 15, 21, 28)[severity - 1]
    length = (0.5, 0.8, 1.1, 1.4, 1.7)[severity - 1] * eye.iris_px
    half_px = max(0.5, 0.025 * eye.iris_px)
    x, y = grid(eye.image.shape)
    share = np.zeros(x.shape)
    for place in range(28):
        lean, grown = draws.between(-0.5, 0.5), draws.between(0.7, 1.1)
        root_x = eye.x + (draws.between(-0.5, 0.5) + (place * 11 % 28) / 14 - 1) * eye.iris_px
        if place >= count:
            continue
        column = min(max(round(root_x), 0), x.shape[1] - 1)
        seen = np.flatnonzero(eye.opening[:, column])
        root_y = float(seen[0]) if len(seen) else eye.y - 0.9 * eye.iris_px
        along = np.clip((y - root_y) / (length * grown), 0, 1)
        middle = root_x + lean * length * along * along
        inside = (y >= root_y) & (y <= root_y + length * grown)
        hair = np.clip(half_px * (1.3 - along) - np.abs(x - middle) + 0.5, 0, 1)
        share = np.maximum(share, np.where(inside, hair, 0))
    return mixed(eye.image, (20, 16, 16), 0.85 * share), eye.mask


def glint(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """Lamps or a window mirrored in iris and pupil."""
    radius = (0.1, 0.17, 0.26, 0.37, 0.5)[severity - 1] * eye.iris_px
    bright = (0.5, 0.7, 0.85, 0.95, 1.0)[severity - 1]
    x, y = grid(eye.image.shape)
    share = np.zeros(x.shape)
    for size in (1.0, 0.5):
        at_x = eye.x + draws.between(-0.5, 0.5) * eye.iris_px
        at_y = eye.y + draws.between(-0.4, 0.4) * eye.iris_px
        away = _distance(x - at_x, (y - at_y) * 0.8) / (radius * size)
        share = np.maximum(share, bright * _fall((away - 0.7) / 0.6))
    return mixed(eye.image, (255, 255, 255), share), eye.mask


def motion(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """The eye turned while the shutter was open: iris and pupil smear, lids and skin do not."""
    del draws
    reach = (0.1, 0.2, 0.32, 0.46, 0.62)[severity - 1] * eye.iris_px
    steps = 9
    shares = [(2 * step - steps + 1) / (2 * steps - 2) for step in range(steps)]
    total = np.zeros(eye.image.shape, np.int32)
    for share in shares:
        total += sample(eye.image, *_turned(eye, reach * share))
    smeared = pixels((total + steps // 2) // steps)
    if eye.opening.any():
        smeared = np.where(eye.opening[:, :, None], smeared, eye.image)
    return smeared, eye.mask


def low_light(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """Less light: darker, with the noise of few photons and of the sensor."""
    kept, photons, noise = (
        *((0.8, 900, 1), (0.6, 500, 2), (0.44, 300, 3), (0.32, 200, 4), (0.22, 120, 5)),
    )[severity - 1]
    dark = pixels((eye.image.astype(np.int32) * round(kept * 256) + 128) // 256)
    return with_noise(with_shot_noise(dark, photons, draws), noise, draws), eye.mask


def sensor_noise(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """A weak sensor: normal noise, less than that of gaussian_noise."""
    return with_noise(eye.image, (4, 8, 14, 24, 40)[severity - 1], draws), eye.mask


def colour_cast(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """Coloured light or glass of any hue: each channel is dimmed as far as the hue lacks it."""
    hue = colorsys.hsv_to_rgb(draws.between(0, 1), 1.0, 1.0)
    depth = (0.15, 0.3, 0.45, 0.6, 0.75)[severity - 1]
    gains = np.array([round(256 * (1 - depth * (1 - one))) for one in hue])
    return pixels((eye.image * gains + 128) // 256), eye.mask


def rotation(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """The camera held askew, to either side."""
    angle = math.radians((5, 10, 20, 30, 45)[severity - 1] * draws.sign())
    # So many digits that no library's last one matters.
    cosine, sine = round(math.cos(angle), 9), round(math.sin(angle), 9)
    x, y = grid(eye.image.shape)
    x, y = x - (x.shape[1] - 1) / 2, y - (y.shape[0] - 1) / 2
    middle_x, middle_y = (x.shape[1] - 1) / 2, (x.shape[0] - 1) / 2
    turned = x * cosine - y * sine + middle_x, x * sine + y * cosine + middle_y
    return warped(eye.image, eye.mask, *turned)


def elastic(eye: Eye, severity: int, draws: Draws) -> tuple[Image, Mask]:
    """ImageNet-C's `elastic_transform`, of image and mask."""
    places = elastic_transform(eye.image.shape, severity, draws)
    return warped(eye.image, eye.mask, *places)


def _distance(x: Floats, y: Floats) -> Floats:
    return np.sqrt(x * x + y * y)


def _fall(share: Floats) -> Floats:
    """From 1 at 0 and below, smoothly to 0 at 1 and above."""
    cut = np.clip(share, 0, 1)
    return 1 - cut * cut * (3 - 2 * cut)


EYE: Mapping[str, Callable[[Eye, int, Draws], tuple[Image, Mask]]] = {
    **{
        one.__name__: one
        for one in (
            *(off_gaze, pupil_dilation, occluding_lid, glasses_frame, lashes, glint, motion),
            *(low_light, sensor_noise, colour_cast, rotation),
        )
    },
    "elastic_transform": elastic,
}
"""By name."""

HIDES = frozenset({"occluding_lid", "glasses_frame"})
"""Hide some of the iris, so that an image may no longer have the label that it has."""
