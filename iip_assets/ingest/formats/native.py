"""A batch in its native layout, written from what a reader of another format found.

It appears under its name when it is whole, and not at all when anything in it is bad. What is found
wrong with it later is told of the export's own files (see `sources`).
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.csv_file import csv_text
from iip_assets.dataset.labels import COLUMNS, parse_label
from iip_assets.dataset.layout import IMAGES_FOLDER
from iip_assets.dataset.problems import Problem
from iip_assets.dataset.schema import LABELING_FILE, LABELS_FILE, MASKS_FOLDER, parse_text
from iip_assets.engine.atomic import new_folder
from iip_assets.engine.context import track
from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.header import read_header
from iip_assets.ingest.formats.export_files import (
    BadEntry,
    Findings,
    as_cell,
    as_side,
    as_text,
    format_of,
    is_plain_file,
    read_exports,
)
from iip_assets.ingest.formats.export_images import ImageFiles, list_images
from iip_assets.ingest.formats.masks import Region, class_values, paint
from iip_assets.ingest.formats.sources import NativeRow, Size, Sources

_FROM_ELSEWHERE = ("image", "mask")


def cells_of(facts: Mapping[str, Any], column: str) -> dict[str, str]:
    """Further facts of an image, by name, as cells of labels.csv; names are in lower case there.

    Raises:
        BadEntry: A name or value that no cell can hold; `column` is where in the export it stands.
    """
    cells: dict[str, str] = {}
    for key, value in facts.items():
        where = f"{column}.{key}"[:200]
        name = as_cell(key, where, parse_text).lower()
        if not name or name in _FROM_ELSEWHERE:
            raise BadEntry(
                where, key, "not a name that a column can have here", "rename it, or delete it"
            )
        if name in cells:
            raise BadEntry(where, key, f"a second {name}", "keep one of the two")
        text = as_cell(_as_text(value, where), where, parse_text)
        if text:
            cells[name] = text
    return cells


def fields_of(facts: Mapping[str, Any], column: str) -> dict[str, str]:
    """Where in the entry each column of `cells_of` stands."""
    return {key.strip().lower(): f"{column}.{key}" for key in facts}


def size_of(entry: Mapping[str, Any], column: str, height: str, width: str) -> Size:
    """Height and width in pixels, which an entry has under these keys, or not."""
    rows, columns = (as_side(entry.get(key), f"{column}.{key}") for key in (height, width))
    return rows, columns


def label_of(value: Any, column: str, *, fix: str | None = None) -> str:
    """The label that a value names.

    Raises:
        BadEntry: It names none; `fix` says what to do, where that is not what to do in a cell.
    """
    text = as_text(value, column)
    return as_cell(text, column, lambda text: parse_label(text.strip()), fix=fix)


class ExportReader:
    """Reads the files of one export; every entry that is bad becomes a problem.

    Attributes:
        images: The images beside them.
        values: Class name in lower case to mask value.
        findings: Takes the problems.
        remarks: What people should know of an export that is read, in words.
    """

    def __init__(self, images: ImageFiles, values: Mapping[str, int], findings: Findings) -> None:
        self.images = images
        self.values = values
        self.findings = findings
        self.remarks: list[str] = []
        self._entries: dict[str, str] = {}

    def rows(self, document: Any, name: str) -> list[NativeRow]:
        """The rows of one file's content."""
        raise NotImplementedError

    def claim(self, image: str, entry: str, column: str, value: Any, *, fix: str) -> None:
        """Notes that an entry, such as `task 3 of a.json`, is of this image.

        Raises:
            BadEntry: Another one was.
        """
        first = self._entries.setdefault(image, entry)
        if first != entry:
            reason = f"a second {entry.split(maxsplit=1)[0]} of {image}; the first is {first}"
            raise BadEntry(column, value, reason, fix)


@dataclass(frozen=True)
class Converted:
    """What became of an export.

    Attributes:
        problems: All that is wrong with it; the batch is written where there is none.
        unread: The paths of its files that were not used.
        sources: Where in the export what stands in the batch is from.
    """

    problems: tuple[Problem, ...]
    unread: tuple[str, ...] = ()
    sources: Sources = field(default_factory=Sources)


def convert(
    source: Path,
    out: Path,
    *,
    form: str,
    reader: type[ExportReader],
    nothing: tuple[str | None, str, str],
    mask_classes: Sequence[str],
    max_megapixels: float = 50.0,
    name: str | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> Converted:
    """Writes the native batch `out` from an export.

    Args:
        source: The export's folder.
        out: The batch's folder; it must not exist. It is made only when there is no problem.
        form: The tool, as `iip ingest --format` names it.
        reader: Of the tool.
        nothing: Column, reason and fix of an export without any row.
        mask_classes: Names of the classes 0, 1, 2…; they are matched whatever their case.
        max_megapixels: Larger images are refused.
        name: What people call the folder, where its own name is another.
        log: Takes the lines of progress where there is no terminal, and remarks.

    Raises:
        FileExistsError: `out` is there already.
    """
    name = name or source.name
    findings = Findings(name)
    rows: list[NativeRow] = []
    used: set[str] = set()
    sources = Sources()
    paths = _files_below(source)
    with findings.catching(name):
        images = list_images(source)
        reading = reader(images, class_values(mask_classes), findings)
        for path, document in read_exports(source, paths, form, findings).items():
            used.add(path)
            with findings.catching(path):
                _refuse_another_format(document, form)
                rows += reading.rows(document, path)
        if not rows and not findings:
            column, reason, fix = nothing
            raise BadEntry(column, None, reason, fix)
        if not findings:
            for remark in reading.remarks:
                log(remark)
            used |= {row.image for row in rows} | {LABELING_FILE}
            _write(
                rows,
                images,
                out,
                sources,
                findings=findings,
                max_megapixels=max_megapixels,
                log=log,
            )
    unread = () if findings else tuple(path for path in paths if path not in used)
    return Converted(findings.problems(), unread, sources)


def _refuse_another_format(document: Any, form: str) -> None:
    other = format_of(document)
    if other is not None and other != form:
        reason = f"the file is of another format than {form}"
        raise BadEntry(None, None, reason, f"ingest it with --format {other}")


def _files_below(root: Path) -> list[str]:
    return sorted(
        path.relative_to(root).as_posix() for path in root.rglob("*") if is_plain_file(path)
    )


def _write(
    rows: Sequence[NativeRow],
    images: ImageFiles,
    out: Path,
    sources: Sources,
    *,
    findings: Findings,
    max_megapixels: float,
    log: Callable[[str], None],
) -> None:
    """Writes tables, images and masks; nothing is left when `findings` has a problem.

    Images that no row names stay behind.
    """
    if os.path.lexists(out):
        raise FileExistsError(f"{out} is there already; name a folder that is not")
    with new_folder(out) as making:
        names = _Names()
        tables: dict[str, list[dict[str, str]]] = {LABELS_FILE: []}
        for row in track(rows, total=len(rows), label="Reading", log=log):
            with findings.catching(row.file, row.row):
                mask = None if names.mask_of(row) else _painted(row, images, max_megapixels)
                cells = _written(row, mask, images, making, names)
                written = tables.setdefault(row.table, [])
                written.append(cells)
                sources.add(row, len(written) + 1, cells)
        # The instructions that the labelers had, where they lie beside their work.
        if is_plain_file(images.root / LABELING_FILE):
            _copy(LABELING_FILE, images, making / LABELING_FILE)
        for table, written in tables.items():
            present = {name for cells in written for name in cells}
            known = [name for name in COLUMNS if name == "image" or name in present]
            text = csv_text([*known, *sorted(present - set(COLUMNS))], written)
            (making / table).write_text(text, encoding="utf-8", newline="")
        if findings:
            shutil.rmtree(making)


def _as_text(value: Any, column: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        # 1e-05 is no number to labels.csv.
        return f"{Decimal(repr(value)):f}"
    if isinstance(value, (str, int)):
        return " ".join(str(value).split())  # a cell has no line breaks
    raise BadEntry(
        column, value, "expected a text or a number", "write it as one text, or delete it"
    )


class _Names:
    """File names in the batch: each image has one, whatever folder of the export it is from."""

    def __init__(self) -> None:
        self._of_image: dict[str, str] = {}
        self._masks: dict[tuple[str, tuple[Region, ...]], str] = {}
        self._taken: set[str] = set()

    def image(self, path: str) -> tuple[str, bool]:
        """The image's path in the batch, and whether it is asked for the first time."""
        if path in self._of_image:
            return self._of_image[path], False
        name = path if path.startswith(f"{IMAGES_FOLDER}/") else f"{IMAGES_FOLDER}/{path}"
        while name in self._taken:
            name = f"{IMAGES_FOLDER}/{name}"
        self._taken.add(name)
        self._of_image[path] = name
        return name, True

    def mask_of(self, row: NativeRow) -> str | None:
        """The path of the mask that was painted of the same regions before."""
        return self._masks.get((row.image, row.regions)) if row.regions else None

    def mask(self, row: NativeRow, image: str) -> str:
        """The path of a row's mask, whose image has this path in the batch."""
        stem = PurePosixPath(image).relative_to(IMAGES_FOLDER).with_suffix("")
        name, count = f"{MASKS_FOLDER}/{stem}.png", 1
        while name in self._taken:
            count += 1
            name = f"{MASKS_FOLDER}/{stem}-{count}.png"
        self._taken.add(name)
        self._masks[row.image, row.regions] = name
        return name


def _painted(row: NativeRow, images: ImageFiles, max_megapixels: float) -> NDArray[np.uint8] | None:
    if not row.regions and row.size == (None, None):
        return None
    column = row.fields.get("image", "image")
    try:
        data = _read(row.image, images, max_megapixels)
        image = decode_image(data, max_megapixels=max_megapixels)
    except Undecodable as error:
        raise BadEntry(column, row.image, str(error), "replace the file") from error
    height, width = image.shape[:2]
    meant_height, meant_width = row.size
    turned = read_header(data).turned
    as_stored = turned and width != height and row.size == (width, height)
    if as_stored and not _drawn_upright(row.regions, height, width):
        raise BadEntry(
            column,
            row.image,
            f"the labels are of the image as it is stored, {height}×{width}, which its EXIF turns "
            f"upright, {width}×{height}",
            "export them with the upright size (from Label Studio as JSON, not as COCO); or, if "
            "they were drawn on the image as it is stored, save it without its EXIF",
        )
    if not as_stored and (meant_height not in (None, height) or meant_width not in (None, width)):
        raise BadEntry(
            column,
            row.image,
            f"the labels are of an image of {meant_width}×{meant_height} pixels, the file has "
            f"{width}×{height}",
            "put the file there that was labelled",
        )
    if not row.regions:
        return None
    try:
        return paint(row.regions, height=height, width=width)
    except BadEntry as bad:
        if turned:
            bad.reason += f"; the image is stored as {height}×{width}, and its EXIF turns it"
        raise


def _drawn_upright(regions: Sequence[Region], height: int, width: int) -> bool:
    """Whether regions told to be of the stored size are of the upright image, as tools show it.

    They are where they are outlines in pixels that stay within it. Of brushes and of shares of the
    size it is not known: tools differ in what they scale by.
    """
    side = max(height, width)
    within = np.zeros((side, side), np.bool_)
    within[:height, :width] = True
    return all(one.in_pixels and not (one.fill(side, side) & ~within).any() for one in regions)


def _read(image: str, images: ImageFiles, max_megapixels: float) -> bytes:
    # Eight bytes a pixel are 16 bits of four channels, not compressed.
    most = int(max_megapixels * 1e6) * 8 + (1 << 20)
    with images.stream(image) as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise BadEntry("image", image, "the file is too large for an image", "replace the file")
    return data


def _written(
    row: NativeRow, mask: NDArray[np.uint8] | None, images: ImageFiles, making: Path, names: _Names
) -> dict[str, str]:
    image, first = names.image(row.image)
    if first:
        _copy(row.image, images, making / image)
    cells = {"image": image, **row.cells}
    if before := names.mask_of(row):
        cells["mask"] = before
    elif mask is not None:
        cells["mask"] = names.mask(row, image)
        target = making / cells["mask"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    return cells


def _copy(path: str, images: ImageFiles, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with images.stream(path) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
