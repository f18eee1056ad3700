"""Copies of photographs that the perceptual hash does not join with the original."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.fingerprints import near_pairs, perceptual_hash
from iip_assets.images.store import content_md5
from iip_assets.synthetic.parameters import PlantedEffects
from iip_assets.synthetic.population import sample_subject
from iip_assets.synthetic.render import render
from iip_assets.synthetic.shots import SITES, sample_shot

Image = NDArray[np.uint8]
Change = Callable[[Image, np.random.Generator], Image]
_JOINED_BITS = 40
_ATTEMPTS = 30


def crop(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    share = rng.uniform(0.78, 0.92)
    rows, columns = round(height * share), round(width * share)
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return image[top : top + rows, left : left + columns]


def mirror(image: Image, rng: np.random.Generator) -> Image:
    return np.ascontiguousarray(image[:, ::-1])


def turn(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    angle = rng.uniform(4, 10) * rng.choice([-1, 1])
    place = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.1)
    turned = cv2.warpAffine(image, place, (width, height), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(turned, np.uint8)


def light(image: Image, rng: np.random.Generator) -> Image:
    """Another exposure, and light from one side."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    side = 1 + 0.4 * (np.cos(angle) * x + np.sin(angle) * y)[..., None]
    lit = (image / 255) ** rng.choice([0.65, 1.5]) * side
    return (lit.clip(0, 1) * 255).astype(np.uint8)


def recompress(image: Image, rng: np.random.Generator) -> Image:
    small = cv2.resize(image, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", small, [1, 30])[1], 1), np.uint8)


def camera(image: Image, rng: np.random.Generator) -> Image:
    """A photograph of the photograph: a cast, blur, noise and a crop."""
    cast = np.array([0.9, 1, 1.12])[rng.permutation(3)]
    seen = cv2.GaussianBlur(image, (0, 0), max(image.shape[1] / 200, 0.5)) * cast
    return crop((seen + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8), rng)


KINDS: Mapping[str, Change] = {
    "crop": crop,
    "mirrored": mirror,
    "turned": turn,
    "another light": light,
    "small and compressed": recompress,
    "another camera": camera,
    "mirrored crop": lambda image, rng: crop(mirror(image, rng), rng),
    "crop in another light": lambda image, rng: light(crop(image, rng), rng),
}


@dataclass(frozen=True)
class Planted:
    """Photographs of different people, and copies of some of them on the other side.

    Attributes:
        files: Bytes by image id.
        splits: `image_id`, `split`, `group_id`.
        copies: By the ids of a copy and its original, what was done.
    """

    files: Mapping[str, bytes]
    splits: pl.DataFrame
    copies: Mapping[frozenset[str], str]

    def read(self, image_id: str) -> bytes:
        """As a store reads."""
        return self.files[image_id]


def rendered_eye(seed: int, number: int, shot: int = 0) -> Image:
    """A shot of a subject by the numbers of both."""
    rng = np.random.default_rng([seed, number, shot])
    subject = sample_subject(seed, number, PlantedEffects())
    device = SITES[number % len(SITES)].devices[0][0]
    return render(sample_shot(rng, subject, device, rare_mode=None).parameters).image


def plant(photographs: Sequence[Image], *, copies: int, seed: int) -> Planted:
    """Deals photographs to splits, each its own group, and adds copies of the kinds in turn.

    A copy that the perceptual hash joins is drawn again, and where it always does another kind is.
    """
    rng = np.random.default_rng(seed)
    files, sides = {}, {}
    originals: list[tuple[str, Image]] = []
    for photograph in photographs:
        image_id, data = file_of(photograph)
        files[image_id] = data
        sides[image_id] = str(rng.choice(["train", "validation", "test"], p=[0.7, 0.15, 0.15]))
        if sides[image_id] == "train":
            originals.append((image_id, photograph))
    planted: dict[frozenset[str], str] = {}
    order = rng.permutation(len(originals))
    kinds = list(KINDS)
    for place in order:
        if len(planted) == copies:
            break
        original, photograph = originals[place]
        kind = kinds[len(planted) % len(kinds)]
        for attempt in range(_ATTEMPTS):
            kind = kind if attempt < _ATTEMPTS // 2 else str(rng.choice(kinds))
            copy = KINDS[kind](photograph, rng)
            hashes = [perceptual_hash(one) for one in (photograph, copy)]
            if None not in hashes and not len(near_pairs(hashes, within_bits=_JOINED_BITS)):
                image_id, files_data = file_of(copy)
                files[image_id], sides[image_id] = (
                    files_data,
                    str(rng.choice(["validation", "test"])),
                )
                planted[frozenset((image_id, original))] = kind
                break
    splits = pl.DataFrame({"image_id": list(sides), "split": list(sides.values())})
    return Planted(files, splits.with_columns(group_id="image_id"), planted)


def file_of(image: Image) -> tuple[str, bytes]:
    """Id and bytes of an image as a PNG."""
    data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    return content_md5(data), data
