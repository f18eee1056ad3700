"""A batch's labels.csv and annotations.csv: rows that count, and problems for people.

In labels.csv stands what counts, in annotations.csv each labeler's own opinion: several people may
label one image without seeing each other's labels, and how they agree is the level that a model can
be compared with. Nothing in the files raises an exception. The data that DVC tracks leave a bad
row out, the inbox sends its batch back: so this takes bytes and a listing, and knows of neither.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import partial
from typing import Any

from iip_assets.dataset.csv_file import Fault, Record, read_csv
from iip_assets.dataset.layout import IMAGES_FOLDER, is_image_path, lies_in
from iip_assets.dataset.listing import Listing
from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import (
    ANNOTATIONS_FILE,
    EYES,
    IMAGE_SUFFIXES,
    LABELS,
    LABELS_FILE,
    MASKS_FOLDER,
    TRAINING_LABELS,
    BadCell,
    parse_age,
    parse_lower_text,
    parse_text,
    parse_time,
    parse_word,
)
from iip_assets.dataset.spellings import is_unknown

Columns = Mapping[str, Callable[[str], Any]]
"""Optional columns with the reader of their cells."""

# Folders that say on which side of a pair a file is.
_SIDES = (IMAGES_FOLDER, MASKS_FOLDER)

# Words that others name our columns by.
_OTHER_NAMES = {
    **dict.fromkeys(("annotation", "category", "choice", "class", "classification"), "label"),
    **dict.fromkeys(("participant", "patient", "person", "volunteer"), "subject_id"),
    **dict.fromkeys(("laterality", "side"), "eye"),
    "sex": "gender",
    "race": "ethnicity",
    **dict.fromkeys(("continent", "country", "region"), "geography"),
    **dict.fromkeys(("camera", "phone", "scanner", "sensor"), "device"),
    **dict.fromkeys(("date", "datetime", "timestamp"), "captured_at"),
    **dict.fromkeys(("annotator", "grader", "rater"), "labeler"),
    "segmentation": "mask",
}

# Rows that one fault names; a spreadsheet's fill-down makes thousands that name one image.
_MOST_NAMED = 10


def parse_label(text: str) -> str:
    """One of the labels, whatever its case."""
    return parse_word(text, LABELS)


def _named_labeler(text: str) -> str:
    if not text:
        raise BadCell(
            "no labeler is named",
            "write who it was (any name that stands for one person), or delete the row",
        )
    return parse_text(text)


_FACTS: Columns = {
    "label": parse_label,
    "subject_id": parse_text,
    "eye": lambda text: parse_word(text, EYES),
    "age_years": parse_age,
    "gender": parse_lower_text,
    "ethnicity": parse_lower_text,
    "geography": parse_text,
    "device": parse_text,
    "captured_at": parse_time,
    "labeler": parse_text,
}
_OPINION: Columns = {"labeler": _named_labeler, "label": parse_label, "labeled_at": parse_time}
COLUMNS = ("image", "mask", *_FACTS)
"""The columns of labels.csv that have a meaning here; others are kept as tags."""


@dataclass(frozen=True)
class LabelRow:
    """What one labeler says of one image in one batch; None where not known."""

    row: int
    image_id: str
    label: str | None = None
    mask_id: str | None = None
    mask_path: str | None = None
    subject_id: str | None = None
    eye: str | None = None
    age_years: float | None = None
    gender: str | None = None
    ethnicity: str | None = None
    geography: str | None = None
    device: str | None = None
    captured_at: datetime | None = None
    labeler: str | None = None
    labeled_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


_COMPARED = tuple(
    column.name for column in fields(LabelRow) if column.name not in ("row", "tags", "mask_path")
)


@dataclass(frozen=True)
class LabelFile:
    """What a labels.csv or annotations.csv says.

    Attributes:
        rows: One per image and labeler, sorted by both.
        problems: Rows or files that are not used.
        tags: The further columns, with the known column that each may have been meant to be.
    """

    rows: tuple[LabelRow, ...]
    problems: tuple[Problem, ...]
    tags: Mapping[str, str | None]


def parse_labels(data: bytes, *, batch: str, file: str, listing: Listing) -> LabelFile:
    """Read a labels.csv, whose path `file` the problems name.

    Two rows that say the same of one image are one; where they differ, neither is used.
    """
    return _parse(data, _LABELS, batch, file, listing)


def parse_annotations(data: bytes, *, batch: str, file: str, listing: Listing) -> LabelFile:
    """Read an annotations.csv: columns image, labeler, label, mask, labeled_at; no others.

    Of several rows of one image and labeler the newest counts. Where they differ and their times do
    not tell which that is, none is used.
    """
    return _parse(data, _ANNOTATIONS, batch, file, listing)


READERS = {LABELS_FILE: parse_labels, ANNOTATIONS_FILE: parse_annotations}
"""The files of a batch that hold rows."""


def rows_by_name(files: Mapping[str, str], *, batch: str, place: str = "") -> LabelFile:
    """The rows of a batch that has no file of rows: masks/a.png is the mask of images/a.jpg.

    A mask that is the only one of a name which one image has is that image's. Of other masks
    nothing is said. Where one and the same image lies there twice, with masks that differ, none is
    used.

    Args:
        files: Path within the batch to md5.
        batch: The batch, for the problems.
        place: What problems write before a path.
    """
    of_name: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}  # images and masks
    for path in files:
        is_mask = lies_in(path, MASKS_FOLDER)
        if path.lower().endswith(IMAGE_SUFFIXES) and (is_mask or is_image_path(path)):
            folders = [part for part in path.split("/") if part.casefold() not in _SIDES]
            stem = folders.pop().rpartition(".")[0]
            of_name.setdefault((*folders, stem), ([], []))[is_mask].append(path)
    masks_of: dict[str, dict[str, str]] = {}
    for images, masks in of_name.values():
        if len(images) == len(masks) == 1:
            masks_of.setdefault(files[images[0]], {}).setdefault(files[masks[0]], masks[0])
    rows = [
        LabelRow(0, image_id, mask_id=mask_id, mask_path=mask)
        for image_id, masks in sorted(masks_of.items())
        for mask_id, mask in masks.items()
        if len(masks) == 1
    ]
    problems = [
        Problem(
            batch,
            place + shown(mask),
            "its image lies in the batch twice, each time with another mask",
            "keep the mask that is right, and delete the others with their images",
        )
        for masks in masks_of.values()
        for mask in masks.values()
        if len(masks) > 1
    ]
    return LabelFile(tuple(rows), tuple(problems), {})


def _parse(data: bytes, kind: _Kind, batch: str, file: str, listing: Listing) -> LabelFile:
    fault = partial(Problem, batch, file)
    table = read_csv(data, required=kind.required, fault=fault)
    problems = list(table.problems)
    grouped: dict[tuple[str, str], list[LabelRow]] = {}
    for record in table.records:
        cells = _Cells(record, listing, fault)
        row = kind.read(cells)
        problems += sorted(cells.problems, key=lambda problem: problem.column or "")
        if not cells.problems:
            grouped.setdefault((row.image_id, row.labeler or ""), []).append(row)
    named = {record.row: record.cells["image"] for record in table.records}
    rows: list[LabelRow] = []
    for key in sorted(grouped):
        found = kind.as_one(grouped[key])
        if isinstance(found, LabelRow):
            rows.append(found)
            continue
        numbers = ", ".join(str(row.row) for row in grouped[key][:_MOST_NAMED])
        more = len(grouped[key]) - _MOST_NAMED
        numbers += f" and {more} more" if more > 0 else ""
        reason = f"rows {numbers} name the same {kind.key} and differ in {', '.join(found)}"
        for row in grouped[key]:
            value = shown(named[row.row])
            problems.append(fault(reason, kind.fix, row=row.row, column="image", value=value))
    further = [name for name in table.columns if name not in COLUMNS]
    written = [record.cells for record in table.records]
    absent = [name for name in COLUMNS if not any(one.get(name) for one in written)]
    tags = {name: _meant(name, absent, written) for name in further} if kind is _LABELS else {}
    return LabelFile(tuple(rows), tuple(problems), tags)


class _Cells:
    """The cells of a row, of which any may be bad; one that says "not known" is empty."""

    def __init__(self, record: Record, listing: Listing, fault: Fault) -> None:
        self.row, self.problems, self._written = record.row, list[Problem](), record.cells
        self.texts = {
            column: "" if _says_nothing(column, text) else text
            for column, text in record.cells.items()
        }
        self._listing, self._fault = listing, fault

    def read(self, column: str, parse: Callable[[str], Any]) -> Any:
        """What a cell says; None, and a problem more, where it is bad."""
        text = self.texts.get(column, "")
        try:
            return parse(text)
        except BadCell as bad:
            self.add(bad.reason, bad.fix, column)
            return None

    def add(self, reason: str, fix: str, column: str) -> None:
        """A problem more."""
        value = shown(self._written.get(column, ""))
        self.problems.append(self._fault(reason, fix, row=self.row, column=column, value=value))

    def label_row(self, **values: Any) -> LabelRow:
        """The row with these values, and with the image and the mask that it names."""
        find = self._listing.find
        _, image_id = self.read("image", lambda text: find(text, image=True)) or (None, "")
        mask_path, mask_id = None, None
        if self.texts.get("mask"):
            found = self.read("mask", lambda text: find(text, image=False))
            mask_path, mask_id = found or (None, None)
        return LabelRow(self.row, image_id, mask_path=mask_path, mask_id=mask_id, **values)


def _says_nothing(column: str, text: str) -> bool:
    # `none` is a label, and may be meant in a column of one's own: glasses, none.
    if column == "label" or (column not in COLUMNS and text in ("none", "blank", "empty")):
        return False
    return is_unknown(text)


def _read_facts(cells: _Cells) -> LabelRow:
    values = {
        column: cells.read(column, parse)
        for column, parse in _FACTS.items()
        if cells.texts.get(column)
    }
    further = sorted(cells.texts.keys() - set(COLUMNS))
    tags = {name: cells.read(name, parse_text) for name in further if cells.texts[name]}
    return cells.label_row(tags=tags, **values)


def _read_opinion(cells: _Cells) -> LabelRow:
    values = {
        column: cells.read(column, parse)
        for column, parse in _OPINION.items()
        if cells.texts.get(column) or column == "labeler"
    }
    row = cells.label_row(**values)
    if not cells.problems and row.label is None and row.mask_id is None:
        fix = "write what the labeler said, or delete the row"
        cells.add("neither a label nor a mask", fix, "label")
    return row


def _meant(name: str, absent: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str | None:
    """The column in which nothing stands that a further one may be meant to be.

    The name ends with another word for it (`patient sex`, `person id`), it begins with a word of
    the name (`age`, `patient age`), all that stands there are labels, or the name is a slip of the
    keyboard.
    """
    if name in _OPINION:  # of the other file
        return None
    words = [word for word in re.split(r"[^a-z]+", name) if word not in ("", "id", "name", "code")]
    if words and (column := _OTHER_NAMES.get(words[-1])) in absent:
        return column
    close = [column for column in absent if column.split("_")[0] in words]
    if not close and "label" in absent:
        told = {text.lower() for text in {row[name] for row in rows} if not is_unknown(text)}
        close = ["label"] if told <= {*LABELS} and not told.isdisjoint(TRAINING_LABELS) else []
    close = close or difflib.get_close_matches(name, absent)
    return min(close, key=lambda column: abs(len(column) - len(name)), default=None)


def _known(rows: Sequence[LabelRow], name: str) -> list[Any]:
    return [value for row in rows if (value := getattr(row, name)) is not None]


def _merged(rows: Sequence[LabelRow]) -> LabelRow | list[str]:
    """Each cell from whichever row knows it, or the columns in which the rows differ."""
    differing = [name for name in _COMPARED if len(set(_known(rows, name))) > 1]
    tags = {name: value for row in rows for name, value in row.tags.items()}
    differing += [
        name for name in sorted(tags) if len({row.tags.get(name, tags[name]) for row in rows}) > 1
    ]
    if differing:
        return differing
    names = (*_COMPARED, "mask_path")
    known: dict[str, Any] = {name: min(_known(rows, name), default=None) for name in names}
    return replace(rows[0], **known, tags=tags)


def _newest(rows: Sequence[LabelRow]) -> LabelRow | list[str]:
    """What one labeler says of an image by now, or in what rows differ of which no time tells."""
    differing = [name for name in ("label", "mask_id") if len(set(_known(rows, name))) > 1]
    times = {row.labeled_at for row in rows}
    if differing and (None in times or len(times) < len(rows)):
        return [name.removesuffix("_id") for name in differing]
    # Where nothing differs any order will do.
    in_time = sorted(rows, key=lambda row: (row.labeled_at is not None, row.labeled_at, row.row))
    found = in_time[0]
    for row in in_time[1:]:
        found = replace(
            row,
            row=found.row,
            label=row.label or found.label,
            mask_id=row.mask_id or found.mask_id,
            mask_path=row.mask_path if row.mask_id else found.mask_path,
        )
    return found


@dataclass(frozen=True)
class _Kind:
    """How one of the two files is read."""

    required: tuple[str, ...]  # columns that it must have
    read: Callable[[_Cells], LabelRow]  # reads a row
    # Makes one row of those of one image and labeler, or names what they differ in.
    as_one: Callable[[Sequence[LabelRow]], LabelRow | list[str]]
    key: str  # what such rows have in common, in words
    fix: str  # what to do where they differ


_LABELS = _Kind(
    required=("image",),
    read=_read_facts,
    as_one=_merged,
    key="image",
    fix="keep the row that is right and delete the others; none of them is used",
)
_ANNOTATIONS = _Kind(
    required=("image", "labeler"),
    read=_read_opinion,
    as_one=_newest,
    key="image and labeler",
    fix="write into labeled_at when each was given, or keep one; none of them is used",
)
