"""The way out: images and what is said of them, in a form that labeling tools read.

The folder appears when it is whole. What is written can be read back (`iip ingest --format`), and
gives equal labels, facts, tags and masks.

What is written here is read back by `coco` and `labelstudio`, which tell what each place means.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.schema import LABELS
from iip_assets.engine.atomic import new_folder
from iip_assets.engine.context import track
from iip_assets.images.decode import NOT_LABELLED, Undecodable, decode_image, decode_mask
from iip_assets.images.store import ImageStore
from iip_assets.ingest.export_rows import ExportImage, Opinion
from iip_assets.ingest.formats.masks import NOT_LABELLED_WORD, encode_brush, encode_counts

Masks = Mapping[str, NDArray[np.uint8]]
"""Mask id to pixels (H, W)."""

_SUGGESTED = "suggested"

Form = Literal["coco", "labelstudio"]


class _Writer:
    """Takes images one by one into a JSON file whose last list grows with them."""

    images_folder = "images"  # where in the export the image files go
    file = "tasks.json"
    begin, end = "[", "\n]\n"

    def __init__(self, out: Path, mask_classes: Sequence[str]) -> None:
        self.classes = {**dict(enumerate(mask_classes)), NOT_LABELLED: NOT_LABELLED_WORD}
        file = out / self.file
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w", encoding="utf-8")
        self._file.write(self.begin)
        self.entries = 0

    def add(self, image: ExportImage, masks: Masks, *, height: int, width: int) -> None:
        """Writes what is said of an image."""
        raise NotImplementedError

    def append(self, entry: Mapping[str, Any]) -> None:
        """Writes an entry of the list."""
        self._file.write(("," if self.entries else "") + "\n" + _json(entry))
        self.entries += 1

    def class_pixels(
        self, opinion: Opinion | None, masks: Masks
    ) -> list[tuple[int, NDArray[np.bool_]]]:
        """The pixels of each class but 0, where nothing is drawn; of 0 where there is no other.

        So a mask without any region is a mask still.
        """
        mask = None if opinion is None else masks.get(opinion.mask_id or "")
        if mask is None:
            return []
        present = [value for value in self.classes if value and (mask == value).any()]
        return [(value, mask == value) for value in present or [0]]

    def close(self) -> None:
        """Writes what comes last."""
        self._file.write(self.end)
        self._file.close()


class _CocoWriter(_Writer):
    """COCO JSON in the layout of CVAT's "COCO 1.0": one opinion an image, the one that counts.

    A mask is one annotation of run lengths for each class. The list of images, which is small,
    comes last.
    """

    images_folder = "images/default"
    file = "annotations/instances_default.json"

    def __init__(self, out: Path, mask_classes: Sequence[str]) -> None:
        names = (*mask_classes, NOT_LABELLED_WORD)
        about = {
            "licenses": [{"name": "", "id": 0, "url": ""}],
            "info": {"description": "exported by iip"},
            "categories": [
                {"id": number, "name": name, "supercategory": ""}
                for number, name in enumerate(names, start=1)
            ],
        }
        self.begin = _json(about).removesuffix("}") + ',"annotations":['
        super().__init__(out, mask_classes)
        self._images: list[dict[str, Any]] = []
        self._numbers = {value: number for number, value in enumerate(self.classes, start=1)}

    def add(self, image: ExportImage, masks: Masks, *, height: int, width: int) -> None:
        """Keeps the image for the end, and writes its annotations."""
        number = len(self._images) + 1
        attributes = dict(image.facts)
        if image.counts is not None:
            opinion = {"label": image.counts.label, "labeler": image.counts.labeler}
            attributes |= {name: word for name, word in opinion.items() if word is not None}
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
        for value, pixels in self.class_pixels(image.counts, masks):
            ys, xs = np.nonzero(pixels)
            left, top = int(xs.min()), int(ys.min())
            self.append(
                {
                    "id": self.entries + 1,
                    "image_id": number,
                    "category_id": self._numbers[value],
                    "segmentation": {"counts": encode_counts(pixels), "size": list(pixels.shape)},
                    "area": float(pixels.sum()),
                    "bbox": [left, top, int(xs.max()) - left + 1, int(ys.max()) - top + 1],
                    "iscrowd": 1,
                    "attributes": {"occluded": False},
                }
            )

    def close(self) -> None:
        """Writes the images."""
        self.end = "\n]," + _json({"images": self._images}).removeprefix("{") + "\n"
        super().close()


class _LabelStudioWriter(_Writer):
    """Label Studio's JSON: a task an image, an annotation a labeler; and the labeling interface.

    Images are named as local storage names them, with the export's folder as its root. A mask is
    one brush stroke for each class.
    """

    def __init__(self, out: Path, mask_classes: Sequence[str]) -> None:
        super().__init__(out, mask_classes)
        interface = _interface(self.classes.values())
        (out / "label_config.xml").write_text(interface, encoding="utf-8")
        self._annotations = 0

    def add(self, image: ExportImage, masks: Masks, *, height: int, width: int) -> None:
        """Writes a task."""
        place = quote(f"{self.images_folder}/{image.name}")
        annotations = []
        for opinion in image.opinions:
            if opinion.label is None and opinion.mask_id is None and opinion.labeler is None:
                continue
            self._annotations += 1
            results = [] if opinion.label is None else [_choice(opinion.label)]
            results += [
                _stroke(self.classes[value], pixels, height=height, width=width)
                for value, pixels in self.class_pixels(opinion, masks)
            ]
            # Label Studio knows people by e-mail address; other names are kept the same way.
            by = {} if opinion.labeler is None else {"completed_by": {"email": opinion.labeler}}
            at = {"updated_at": opinion.labeled_at.isoformat()} if opinion.labeled_at else {}
            # Where several people spoke, the one that counts is starred, so that it counts there.
            starred = opinion is image.counts and bool(image.others)
            annotations.append(
                {
                    "id": self._annotations,
                    "was_cancelled": False,
                    "ground_truth": starred,
                    **by,
                    **at,
                    "result": results,
                }
            )
        self.append(
            {
                "id": self.entries + 1,
                "data": {"image": f"/data/local-files/?d={place}", **image.facts},
                "annotations": annotations,
                "predictions": self._predictions(image, height=height, width=width),
            }
        )

    def _predictions(self, image: ExportImage, *, height: int, width: int) -> list[dict[str, Any]]:
        """What Label Studio shows as the answer until somebody gives one."""
        told = image.suggestion
        if told is None:
            return []
        result = [] if told.label is None else [_choice(told.label)]
        if told.mask is not None:
            drawn = Opinion(None, None, _SUGGESTED)
            result += [
                _stroke(self.classes[value], pixels, height=height, width=width)
                for value, pixels in self.class_pixels(drawn, {_SUGGESTED: told.mask()})
            ]
        return [{"model_version": told.model, "score": told.score, "result": result}]


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
    """How many images and masks were written, and what could not be, in words."""

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
    """Write images, labels and masks into a new folder, which must be empty or not exist.

    An image that is too large, and an image or mask that cannot be decoded, is left out and named.

    Raises:
        ValueError: The folder is not empty.
        MissingData: Neither the cache nor the remote has an image.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is not empty: name a new folder, so that nothing is overwritten")
    masks_of = [one.mask_id for image in images for one in image.opinions if one.mask_id]
    store.fetch([*(image.image_id for image in images), *masks_of])
    left_out: list[str] = []
    counts = {"images": 0, "masks": 0}
    with new_folder(out) as making, closing(_WRITERS[form](making, mask_classes)) as writer:
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
    others = sum(len(image.others) for image in images)
    if form == "coco" and others:
        left_out.append(f"{others} label rows of further labelers, for which COCO has no place")
    return Exported(counts["images"], counts["masks"], tuple(left_out))


_WRITERS: Mapping[Form, type[_Writer]] = {"coco": _CocoWriter, "labelstudio": _LabelStudioWriter}


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
