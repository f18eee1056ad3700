"""COCO JSON, as CVAT exports it ("COCO 1.0"), to a native batch.

Masks are annotations whose category is one of the mask classes; how they overlap is told in
`masks`. CVAT leaves its tags out of COCO, so the label of a whole image is taken from where it
can stand: the image's `attributes`, the attribute `label` of any annotation, or the category of
one (a box called `partial`). The other columns of labels.csv are read from the image's
`attributes`, where `iip export` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.schema import LABELS
from iip_assets.ingest.formats.export_files import (
    BadEntry,
    as_id,
    as_list,
    as_object,
    as_text,
    entries,
)
from iip_assets.ingest.formats.masks import (
    BadRuns,
    Region,
    decode_counts,
    polygon_pixels,
    unknown_class,
    unpack_counts,
)
from iip_assets.ingest.formats.native import (
    ExportReader,
    cells_of,
    convert,
    fields_of,
    label_of,
    size_of,
)
from iip_assets.ingest.formats.sources import NativeRow, Size

_COLUMN = "annotations.segmentation"

T = TypeVar("T")


def segmentation_pixels(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels (H, W) of a segmentation.

    Raises:
        BadEntry: It is neither of the two, or not of an image of this size.
    """
    if isinstance(segmentation, dict):
        return _run_pixels(segmentation, height, width)
    polygons = [] if segmentation is None else as_list(segmentation, _COLUMN)
    if not polygons:
        raise BadEntry(
            _COLUMN,
            None,
            "a mask class, but neither polygon nor mask",
            "outline it with a polygon or a brush: a box is no mask",
        )
    pixels = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        numbers = as_list(polygon, _COLUMN)
        if len(numbers) % 2:
            raise BadEntry(_COLUMN, polygon, "an odd count of coordinates", "draw the region again")
        pairs = [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        pixels |= polygon_pixels(pairs, _COLUMN, height=height, width=width, scale=(1.0, 1.0))
    return pixels


def _run_pixels(runs: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    size, counts = runs.get("size"), runs.get("counts")
    if size != [height, width]:
        raise BadEntry(
            f"{_COLUMN}.size",
            size,
            f"the mask is not of the image's size, [{height}, {width}]",
            "put the image there that was labelled",
        )
    column = f"{_COLUMN}.counts"
    try:
        listed = unpack_counts(counts) if isinstance(counts, str) else as_list(counts, column)
        return decode_counts(listed, height=height, width=width)
    except BadRuns as error:
        raise BadEntry(column, None, str(error), "export the labels again") from error


@dataclass
class _Image:
    """An entry of `images` with what its annotations say."""

    row: int
    image: str
    size: Size
    cells: dict[str, str]
    fields: dict[str, str]
    labels: dict[str, int] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)


@dataclass
class _Known:
    """The entries of one file by id; None for one that is bad, so that it is a problem once."""

    images: dict[int | str, _Image | None] = field(default_factory=dict)
    categories: dict[int | str, str | None] = field(default_factory=dict)
    annotations: dict[int | str, None] = field(default_factory=dict)


class CocoReader(ExportReader):
    """Reads categories, then images, then annotations."""

    def rows(self, document: Any, name: str) -> list[NativeRow]:
        """The rows of one file's images."""
        document, known = as_object(document, "the file"), _Known()
        for row, entry in entries(document, "categories"):
            with self.findings.catching(name, row):
                self._read_category(entry, known)
        for row, entry in entries(document, "images"):
            with self.findings.catching(name, row):
                self._read_image(entry, known, name, row)
        for row, entry in entries(document, "annotations"):
            with self.findings.catching(name, row):
                self._read_annotation(entry, known, row)
        images = [image for image in known.images.values() if image is not None]
        return [self._native(image, name) for image in images]

    def _native(self, image: _Image, name: str) -> NativeRow:
        cells = image.cells
        if image.labels:
            with self.findings.catching(name, image.row):
                cells |= {"label": _one_label(image)}
        return NativeRow(
            image=image.image,
            file=name,
            row=image.row,
            cells=cells,
            fields={"image": "images.file_name", "mask": _COLUMN, **image.fields},
            regions=tuple(image.regions),
            size=image.size,
        )

    def _read_category(self, entry: Any, known: _Known) -> None:
        category = as_object(entry, "categories")
        key = _new_id(category, known.categories, "categories")
        known.categories[key] = as_text(category.get("name"), "categories.name").strip()

    def _read_image(self, entry: Any, known: _Known, name: str, row: int) -> None:
        image = as_object(entry, "images")
        key = _new_id(image, known.images, "images")
        attributes = image.get("attributes")
        facts = {} if attributes is None else as_object(attributes, "images.attributes")
        column = "images.file_name"
        file_name = as_text(image.get("file_name"), column)
        file = self.images.find(file_name, column, folders=_folders(name))
        self.claim(file, f"entry {row} of {name}", column, file_name, fix="keep one of the two")
        size = size_of(image, "images", "height", "width")
        place = "images.attributes"
        known.images[key] = _Image(row, file, size, cells_of(facts, place), fields_of(facts, place))

    def _read_annotation(self, entry: Any, known: _Known, row: int) -> None:
        annotation = as_object(entry, "annotations")
        if annotation.get("id") is not None:
            _new_id(annotation, known.annotations, "annotations")
        image = _named(annotation, "image_id", known.images)
        category = _named(annotation, "category_id", known.categories)
        if image is None or category is None:
            return
        self._read_label(annotation, image, row)
        value = self.values.get(category.lower())
        if value is not None:
            drawn = annotation.get("segmentation")
            fill = partial(segmentation_pixels, drawn)
            image.regions.append(Region(value, fill, row, in_pixels=isinstance(drawn, list)))
        elif category.lower() in LABELS:
            image.labels.setdefault(category.lower(), row)
        else:
            # Known from here on: each class is a problem once, however often it was drawn.
            known.categories[annotation["category_id"]] = None
            raise unknown_class(category, self.values, "annotations.category_id")

    def _read_label(self, annotation: Mapping[str, Any], image: _Image, row: int) -> None:
        attributes = annotation.get("attributes")
        if attributes is None:
            return
        label = as_object(attributes, "annotations.attributes").get("label")
        if label is None or label == "":
            return
        image.labels.setdefault(label_of(label, "annotations.attributes.label"), row)


def _new_id(entry: Mapping[str, Any], known: dict[int | str, Any], place: str) -> int | str:
    """The entry's id, from here on known to be of a bad entry, unless it turns out to be good."""
    key = as_id(entry.get("id"), f"{place}.id")
    if key in known:
        reason = "an entry before it has the same id"
        raise BadEntry(f"{place}.id", key, reason, "export the labels again")
    known[key] = None
    return key


def _named(annotation: Mapping[str, Any], key: str, known: Mapping[int | str, T]) -> T:
    column = f"annotations.{key}"
    named = as_id(annotation.get(key), column)
    if named not in known:
        raise BadEntry(column, named, "no entry has this id", "export the labels again")
    return known[named]


def _folders(name: str) -> tuple[str, str]:
    """Where the images of a file may lie.

    CVAT puts those of instances_default.json into images/default/, others beside the JSON file.
    """
    file = PurePosixPath(name)
    return file.stem.rpartition("_")[2], file.parent.name


def _one_label(image: _Image) -> str:
    own = image.cells.get("label")
    labels = {*image.labels, *([own.lower()] if own else [])}
    if len(labels) > 1:
        raise BadEntry(
            "images.attributes.label" if own else "annotations.category_id",
            ", ".join(sorted(labels)),
            f"{image.image} has more than one label",
            "keep the label that is right",
        )
    return labels.pop()


convert_coco = partial(
    convert,
    form="coco",
    reader=CocoReader,
    nothing=("images", "no image is named", "export the images' labels again"),
)
"""Writes a native batch from a COCO export; see `convert`."""
