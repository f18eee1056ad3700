"""One batch's labels.csv: rows that count, and problems for people. Never raises on what is in it.

Serves the data that DVC tracks, where a bad row is left out, and the inbox, where one bad row sends
the batch back. So it takes bytes and a listing, and knows of neither.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from iip_assets.dataset.csv_file import Fault, Record, read_csv
from iip_assets.dataset.layout import is_image_path
from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import (
    EYES,
    IMAGE_SUFFIXES,
    LABELS,
    BadCell,
    is_unknown,
    parse_age,
    parse_lower_text,
    parse_path,
    parse_text,
    parse_time,
    parse_word,
)

_ID = re.compile(r"[0-9a-fA-F]{32}")

# Optional columns with the reader of their cells.
_FACTS: Mapping[str, Callable[[str], Any]] = {
    "label": lambda text: parse_word(text, LABELS),
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


@dataclass(frozen=True)
class LabelFile:
    """What a labels.csv says.

    Attributes:
        rows: One per image and labeler, sorted by both.
        problems: Rows or files that are not used.
        tags: The further columns, with the known column that each may have been meant to be.
    """

    rows: tuple[LabelRow, ...]
    problems: tuple[Problem, ...]
    tags: Mapping[str, str | None]


@dataclass(frozen=True)
class Listing:
    """The files that a labels.csv may name.

    Attributes:
        files: Path within the batch to md5.
        known: Ids of all images already in the data, which a row may name in place of a path.
    """

    files: Mapping[str, str]
    known: Container[str]


def parse_labels(data: bytes, *, batch: str, file: str, listing: Listing) -> LabelFile:
    """Read a labels.csv.

    Two rows that say the same of one image are one; where they differ, neither is used.

    Args:
        data: The bytes of the file.
        batch: The batch's name.
        file: The file's path, for the problems.
        listing: The files that the rows may name.
    """
    table = read_csv(data, required=("image",))
    faults = list(table.faults)
    readable: list[LabelRow] = []
    by_folded = {folded(path): path for path in listing.files}
    for record in table.records:
        row = _read_row(record, listing, by_folded)
        if isinstance(row, LabelRow):
            readable.append(row)
        else:
            faults.extend(row)
    rows, conflicts = _one_row_each(readable, table.records)
    faults.extend(conflicts)
    problems = tuple(problem_of(fault, batch, file) for fault in faults)
    tags = {name: _meant(name) for name in table.columns if name not in COLUMNS}
    return LabelFile(rows, problems, tags)


def problem_of(fault: Fault, batch: str, file: str) -> Problem:
    """The fault of a batch's file, as people read it."""
    value = None if fault.value is None else shown(fault.value)
    return Problem(batch, file, fault.row, fault.column, value, fault.reason, fault.fix)


def _meant(name: str) -> str | None:
    """The known column that an unknown one may be a slip of the keyboard for."""
    close = difflib.get_close_matches(name, COLUMNS)
    return min(close, key=lambda column: abs(len(column) - len(name)), default=None)


def folded(path: str) -> str:
    """The path as people may also have written it: in other case, in another form of Unicode."""
    return unicodedata.normalize("NFC", path).casefold()


def _read_row(
    record: Record, listing: Listing, by_folded: Mapping[str, str]
) -> LabelRow | list[Fault]:
    """The row, or all that is wrong with it."""
    faults: list[Fault] = []
    values: dict[str, Any] = {}

    def read(column: str, parse: Callable[[str], Any]) -> None:
        text = record.cells.get(column, "")
        try:
            values[column] = parse(text)
        except BadCell as bad:
            faults.append(Fault(record.row, column, text, bad.reason, bad.fix))

    read("image", lambda text: named_file(text, listing, by_folded, image=True))
    if record.cells.get("mask"):
        read("mask", lambda text: named_file(text, listing, by_folded, image=False))
    for column, parse in _FACTS.items():
        text = record.cells.get(column, "")
        # `unknown` is no label: an image is unlabelled, or it is unclear.
        if text and not (column != "label" and is_unknown(text)):
            read(column, parse)
    for column in record.cells.keys() - set(COLUMNS):
        if record.cells[column]:
            read(column, parse_text)
    if faults:
        return sorted(faults, key=lambda fault: fault.column or "")
    _, image_id = values.pop("image")
    mask_path, mask_id = values.pop("mask", (None, None))
    tags = {name: values.pop(name) for name in sorted(values.keys() - set(COLUMNS))}
    return LabelRow(record.row, image_id, mask_id=mask_id, mask_path=mask_path, tags=tags, **values)


def named_file(
    text: str, listing: Listing, by_folded: Mapping[str, str], *, image: bool
) -> tuple[str | None, str]:
    """Path within the batch (None for an id) and md5 of what the cell names.

    Args:
        text: The cell.
        listing: The files that it may name.
        by_folded: Their paths, by what `folded` makes of them.
        image: Whether it must be an image; a mask otherwise.

    Raises:
        BadCell: It names none of them.
    """
    if not text:
        raise BadCell("no image is named", "write the image's path, or delete the row")
    if _ID.fullmatch(text):
        if text.lower() in listing.known:
            return None, text.lower()
        raise BadCell("no image in the data has this id", "write the path of a file in the batch")
    path = parse_path(text)
    near = by_folded.get(folded(path))
    # Folders that travelled by way of macOS spell é in two characters: the same name to people.
    same = near is not None and _same_name(near, path)
    found = path if path in listing.files else near if same else None
    if found is None:
        put = f"did you mean {near}?" if near else f"put {path} into the batch, or delete the row"
        raise BadCell("no such file in the batch", put)
    if image and not found.lower().endswith(IMAGE_SUFFIXES):
        raise BadCell("not an image's file name", f"name a file of {', '.join(IMAGE_SUFFIXES)}")
    if image and not is_image_path(found):
        raise BadCell("a hidden file or a mask, which is no image", "move it to images/")
    return found, listing.files[found]


def _same_name(one: str, other: str) -> bool:
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


_COMPARED = tuple(
    column.name for column in fields(LabelRow) if column.name not in ("row", "tags", "mask_path")
)


def _one_row_each(
    rows: Sequence[LabelRow], records: Sequence[Record]
) -> tuple[tuple[LabelRow, ...], list[Fault]]:
    """Rows of one image and labeler become one; those that contradict each other become faults."""
    told: dict[tuple[str, str], list[LabelRow]] = {}
    for row in rows:
        told.setdefault((row.image_id, row.labeler or ""), []).append(row)
    named = {record.row: record.cells["image"] for record in records}
    merged: list[LabelRow] = []
    faults: list[Fault] = []
    for key in sorted(told):
        same = sorted(told[key], key=lambda row: row.row)
        differing = _differences(same)
        if not differing:
            merged.append(_merge(same))
            continue
        numbers = ", ".join(str(row.row) for row in same)
        faults.extend(
            Fault(
                row.row,
                "image",
                named[row.row],
                f"rows {numbers} name the same image and differ in {', '.join(differing)}",
                "keep the row that is right and delete the others; none of them is used",
            )
            for row in same
        )
    return tuple(merged), faults


def _differences(rows: Sequence[LabelRow]) -> list[str]:
    differing = [
        name
        for name in _COMPARED
        if len({getattr(row, name) for row in rows if getattr(row, name) is not None}) > 1
    ]
    tags = sorted({name for row in rows for name in row.tags})
    differing += [
        name for name in tags if len({row.tags[name] for row in rows if name in row.tags}) > 1
    ]
    return differing


def _merge(rows: Sequence[LabelRow]) -> LabelRow:
    """Rows that do not contradict each other as one: each cell from whichever row knows it."""
    first = rows[0]
    if len(rows) == 1:
        return first
    known: dict[str, Any] = {}
    for name in (*_COMPARED, "mask_path"):
        values = [getattr(row, name) for row in rows if getattr(row, name) is not None]
        known[name] = min(values) if values else None
    tags = {name: value for row in rows for name, value in row.tags.items()}
    return replace(first, **known, tags=tags)
