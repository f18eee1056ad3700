"""The two forms of an export: COCO JSON and Label Studio JSON, written as they grow.

What is written here is read back by `coco` and `labelstudio`, which tell what each place means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.schema import LABELS
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.ingest.brush_rle import encode_brush
from iip_assets.ingest.export_rows import ExportImage, Opinion
from iip_assets.ingest.regions import NOT_LABELLED_WORD
from iip_assets.ingest.rle import encode_counts

Masks = Mapping[str, NDArray[np.uint8]]
"""Mask id to pixels (H, W)."""


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
