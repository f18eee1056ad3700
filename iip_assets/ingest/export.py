"""The way out: images and what is said of them, in a form that labeling tools read.

The folder appears when it is whole. What is written can be read back (`iip ingest --format`), and
gives equal labels, facts, tags and masks.

What is written here is read back by `coco` and `labelstudio`, which tell what each place means.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.schema import LABELS
from iip_assets.engine.context import track
from iip_assets.images.decode import NOT_LABELLED, Undecodable, decode_image, decode_mask
from iip_assets.images.store import ImageStore
from iip_assets.ingest.export_rows import ExportImage, Opinion
from iip_assets.ingest.formats.masks import NOT_LABELLED_WORD, encode_brush, encode_counts

Masks = Mapping[str, NDArray[np.uint8]]
"""Mask id to pixels (H, W)."""

Form = Literal["coco", "labelstudio"]


class Writer(Protocol):
    """Takes images one by one.

    Attributes:
        images_folder: Where in the export the image files go.
    """

    images_folder: str

    def add(self, image: ExportImage, masks: Masks, *, height: int, width: int) -> None:
        """Writes what is said of an image."""
        ...

    def close(self) -> None:
        """Writes what comes last."""
        ...


class CocoWriter:
    """COCO JSON in the layout of CVAT's "COCO 1.0": one opinion an image, the one that counts."""

    images_folder = "images/default"

    def __init__(self, out: Path, mask_classes: Sequence[str]) -> None:
        file = out / "annotations" / "instances_default.json"
        file.parent.mkdir(parents=True)
        self._classes = _classes(mask_classes)
        self._images: list[dict[str, Any]] = []
        self._count = 0
        self._file = file.open("w", encoding="utf-8")
        about = {
            "licenses": [{"name": "", "id": 0, "url": ""}],
            "info": {"description": "exported by iip"},
            "categories": [
                {"id": number, "name": name, "supercategory": ""}
                for number, name in enumerate(self._classes.values(), start=1)
            ],
        }
        self._file.write(_json(about).removesuffix("}") + ',"annotations":[')
        self._numbers = {value: number for number, value in enumerate(self._classes, start=1)}

    def add(self, image: ExportImage, masks: Masks, *, height: int, width: int) -> None:
        """Writes an image; a mask is one annotation of run lengths for each class."""
        number = len(self._images) + 1
        attributes = dict(image.facts)
        if image.counts is not None:
            said = {"label": image.counts.label, "labeler": image.counts.labeler}
            attributes |= {name: word for name, word in said.items() if word is not None}
        self._images.append(
            {
                "id": number,
                "width": width,
                "height": height,
                "file_name": image.name,
                "license": 0,
                "flickr_url": "",
                "coco_url": "",
                "date_captured": 0,
                "attributes": attributes,
            }
        )
        for value, pixels in _class_pixels(_mask(image.counts, masks), self._classes):
            self._write(self._annotation(number, value, pixels))

    def close(self) -> None:
        """Writes the list of images, which is small."""
        self._file.write("\n]," + _json({"images": self._images}).removeprefix("{") + "\n")
        self._file.close()

    def _write(self, annotation: Mapping[str, Any]) -> None:
        self._file.write(("," if self._count else "") + "\n" + _json(annotation))
        self._count += 1

    def _annotation(self, image: int, value: int, pixels: NDArray[np.bool_]) -> dict[str, Any]:
        ys, xs = np.nonzero(pixels)
        left, top = int(xs.min()), int(ys.min())
        return {
            "id": self._count + 1,
            "image_id": image,
            "category_id": self._numbers[value],
            "segmentation": {"counts": encode_counts(pixels), "size": list(pixels.shape)},
            "area": float(pixels.sum()),
            "bbox": [left, top, int(xs.max()) - left + 1, int(ys.max()) - top + 1],
            "iscrowd": 1,
            "attributes": {"occluded": False},
        }


class LabelStudioWriter:
    """Label Studio's JSON: a task an image, an annotation a labeler; and the labeling interface.

    Images are named as local storage names them, with the export's folder as its root.
    """

    images_folder = "images"

    def __init__(self, out: Path, mask_classes: Sequence[str]) -> None:
        self._classes = _classes(mask_classes)
        (out / "label_config.xml").write_text(_interface(self._classes.values()), encoding="utf-8")
        self._file = (out / "tasks.json").open("w", encoding="utf-8")
        self._file.write("[")
        self._tasks = 0
        self._annotations = 0

    def add(self, image: ExportImage, masks: Masks, *, height: int, width: int) -> None:
        """Writes a task; a mask is one brush stroke for each class."""
        self._tasks += 1
        place = quote(f"{self.images_folder}/{image.name}")
        annotations = []
        for opinion in image.opinions:
            if opinion.label is None and opinion.mask_id is None and opinion.labeler is None:
                continue
            self._annotations += 1
            results = [] if opinion.label is None else [_choice(opinion.label)]
            results += [
                _stroke(self._classes[value], pixels, height=height, width=width)
                for value, pixels in _class_pixels(_mask(opinion, masks), self._classes)
            ]
            # Label Studio knows people by e-mail address; other names are kept the same way.
            by = {} if opinion.labeler is None else {"completed_by": {"email": opinion.labeler}}
            annotations.append(
                {"id": self._annotations, "was_cancelled": False, **by, "result": results}
            )
        task = {
            "id": self._tasks,
            "data": {"image": f"/data/local-files/?d={place}", **image.facts},
            "annotations": annotations,
            "predictions": [],
        }
        self._file.write(("," if self._tasks > 1 else "") + "\n" + _json(task))

    def close(self) -> None:
        """Ends the list of tasks."""
        self._file.write("\n]\n")
        self._file.close()


def _classes(mask_classes: Sequence[str]) -> dict[int, str]:
    """Mask value to name."""
    return {**dict(enumerate(mask_classes)), NOT_LABELLED: NOT_LABELLED_WORD}


def _mask(opinion: Opinion | None, masks: Masks) -> NDArray[np.uint8] | None:
    return None if opinion is None or opinion.mask_id is None else masks.get(opinion.mask_id)


def _class_pixels(
    mask: NDArray[np.uint8] | None, classes: Mapping[int, str]
) -> list[tuple[int, NDArray[np.bool_]]]:
    """The pixels of each class but 0, which is where nothing is drawn; of 0 when there is no other.

    So a mask without any region is a mask still.
    """
    if mask is None:
        return []
    present = [value for value in classes if value and (mask == value).any()]
    return [(value, mask == value) for value in present or [0]]


def _choice(label: str) -> dict[str, Any]:
    return {
        "from_name": "label",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [label]},
    }


def _stroke(name: str, pixels: NDArray[np.bool_], *, height: int, width: int) -> dict[str, Any]:
    return {
        "from_name": "mask",
        "to_name": "image",
        "type": "brushlabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush(pixels), "brushlabels": [name]},
    }


def _interface(classes: Iterable[str]) -> str:
    """The labeling interface that fits the tasks, to be pasted into a project's settings."""
    choices = "\n".join(f"    <Choice value={quoteattr(word)}/>" for word in LABELS)
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in classes)
    return (
        "<View>\n"
        '  <Image name="image" value="$image" zoom="true"/>\n'
        f'  <Choices name="label" toName="image" choice="single">\n{choices}\n  </Choices>\n'
        f'  <BrushLabels name="mask" toName="image">\n{labels}\n  </BrushLabels>\n'
        "</View>\n"
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


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
