"""The way out: images and what is said of them, in a form that labeling tools read.

The folder appears when it is whole. What is written can be read back (`iip ingest --format`), and
gives equal labels, facts, tags and masks.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from iip_assets.engine.progress import track
from iip_assets.images.decode import Undecodable, decode_image, decode_mask
from iip_assets.images.store import ImageStore
from iip_assets.ingest.export_rows import ExportImage
from iip_assets.ingest.export_writers import CocoWriter, LabelStudioWriter, Masks, Writer

Form = Literal["coco", "labelstudio"]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        images: How many images.
        masks: How many masks.
        left_out: What could not be written, in words.
    """

    images: int
    masks: int
    left_out: tuple[str, ...]


def write_export(
    out: Path,
    images: Sequence[ExportImage],
    *,
    form: Form,
    store: ImageStore,
    mask_classes: Sequence[str],
    max_megapixels: float,
    log: Callable[[str], None],
) -> Exported:
    """Write images, labels and masks into a new folder.

    An image or mask that cannot be decoded is left out, and named.

    Args:
        out: The folder, which must be empty or not exist.
        images: What to write.
        form: The form of the labels.
        store: Where the bytes are.
        mask_classes: Names of the classes 0, 1, 2…
        max_megapixels: Larger images are left out.
        log: Takes the lines of progress where there is no terminal.

    Raises:
        ValueError: The folder is not empty.
        MissingData: Neither the cache nor the remote has an image.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: name a new folder, so that nothing is overwritten")
    store.fetch(_objects(images))
    out.parent.mkdir(parents=True, exist_ok=True)
    making = out.parent / f".{out.name}.{uuid.uuid4().hex}"
    left_out: list[str] = []
    counts = {"images": 0, "masks": 0}
    try:
        making.mkdir()
        with closing(_writer(form)(making, mask_classes)) as writer:
            for image in track(images, total=len(images), label="Exporting", log=log):
                data = store.read(image.image_id)
                try:
                    height, width = decode_image(data, max_megapixels=max_megapixels).shape[:2]
                except Undecodable as error:
                    left_out.append(f"{image.name}: {error}")
                    continue
                masks, reason = _masks(image, store, (height, width), len(mask_classes))
                left_out += reason
                writer.add(image, masks, height=height, width=width)
                target = making / writer.images_folder / image.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
                counts["images"] += 1
                counts["masks"] += len(masks)
        making.rename(out)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return Exported(counts["images"], counts["masks"], (*left_out, *_unheard(images, form)))


def _writer(form: Form) -> Callable[[Path, Sequence[str]], Writer]:
    return CocoWriter if form == "coco" else LabelStudioWriter


def _objects(images: Sequence[ExportImage]) -> list[str]:
    masks = [one.mask_id for image in images for one in image.opinions if one.mask_id is not None]
    return [*(image.image_id for image in images), *masks]


def _masks(
    image: ExportImage, store: ImageStore, size: tuple[int, int], n_classes: int
) -> tuple[Masks, list[str]]:
    """The image's masks by id, and in words those that cannot be used."""
    masks: dict[str, NDArray[np.uint8]] = {}
    reason: list[str] = []
    for mask_id in dict.fromkeys(opinion.mask_id for opinion in image.opinions):
        if mask_id is None:
            continue
        try:
            masks[mask_id] = decode_mask(
                store.read(mask_id), height=size[0], width=size[1], n_classes=n_classes
            )
        except Undecodable as error:
            reason.append(f"the mask of {image.name}: {error}")
    return masks, reason


def _unheard(images: Sequence[ExportImage], form: Form) -> list[str]:
    """Opinions that the form has no place for."""
    others = sum(len(image.others) for image in images)
    if form != "coco" or not others:
        return []
    return [f"{others} label rows of further labelers, for which COCO has no place"]
