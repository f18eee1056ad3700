"""CSV bytes to named cells, with every way in which such a file is broken told apart.

Knows nothing of labels: what a cell may say is `validation`, what a row means is `labels`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_EXPORT = 'export it as "CSV UTF-8", separated by commas'


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that stops a row (or, without a row, the whole file) from being read."""

    row: int | None
    column: str | None
    value: str | None
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Record:
    """One data row: its number (the first below the header is 1) and its cells, stripped."""

    row: int
    cells: dict[str, str]


@dataclass(frozen=True)
class CsvFile:
    """What could be read of a file, and what could not.

    Attributes:
        columns: The header, in lower case.
        records: Rows that could be read.
        faults: Rows that could not; a fault without a row means that nothing was read.
    """

    columns: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    faults: tuple[Fault, ...] = field(default=())


def read_csv(data: bytes, *, required: Sequence[str]) -> CsvFile:
    """Read a CSV file of a header and rows; never raises on what is in it.

    A byte order mark, Windows line ends, blank lines and empty surplus cells (a spreadsheet's
    trailing commas) are fine.

    Args:
        data: The file: UTF-8, separated by commas.
        required: Columns that must be there.
    """
    text = _decode(data)
    if isinstance(text, Fault):
        return CsvFile(faults=(text,))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
    except csv.Error as error:
        return CsvFile(faults=(_file_fault(f"its first line is broken ({error})", _EXPORT),))
    columns = tuple(name.strip().lower() for name in header)
    while columns and not columns[-1]:
        columns = columns[:-1]
    fault = _header_fault(columns, required)
    if fault is not None:
        return CsvFile(faults=(fault,))
    records, faults = _read_rows(reader, columns)
    return CsvFile(columns, tuple(records), tuple(faults))


def _file_fault(reason: str, fix: str) -> Fault:
    return Fault(row=None, column=None, value=None, reason=reason, fix=fix)


def _decode(data: bytes) -> str | Fault:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _file_fault("the file is UTF-16, expected UTF-8", _EXPORT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        bad = data[error.start : error.start + 8].hex(" ")
        return _file_fault(f"the file is not UTF-8: line {line} has the bytes {bad}", _EXPORT)
    if not text.strip():
        return _file_fault(
            "the file is empty", "write a header line and one row per image, or delete the file"
        )
    return text


def _header_fault(columns: Sequence[str], required: Sequence[str]) -> Fault | None:
    if len(columns) == 1:
        for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in columns[0]:
                return _file_fault(f"the file is separated by {name}, expected commas", _EXPORT)
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if "" in columns:
        return _file_fault("a column of the header has no name", "name it or delete the column")
    if doubled:
        return _file_fault(
            f"the header names {', '.join(doubled)} more than once", "keep one column of each name"
        )
    absent = [name for name in required if name not in columns]
    if absent:
        return _file_fault(
            f"the header lacks {', '.join(absent)}; it has {', '.join(columns)[:200]}",
            "begin the file with a line of column names: image,label,mask,…",
        )
    return None


def _read_rows(
    reader: Iterator[list[str]], columns: Sequence[str]
) -> tuple[list[Record], list[Fault]]:
    records: list[Record] = []
    faults: list[Fault] = []
    row = 0
    while True:
        row += 1
        try:
            cells = next(reader)
        except StopIteration:
            return records, faults
        except csv.Error as error:
            faults.append(_broken_row(row, error))
            continue
        cells = [cell.strip() for cell in cells]
        if not any(cells):
            continue
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            reason = f"the row has {len(cells)} cells, the header {len(columns)}"
            fix = "give every column a cell, empty when not known; put quotes around commas"
            faults.append(Fault(row, None, ",".join(cells), reason, fix))
            continue
        records.append(Record(row, dict(zip(columns, cells, strict=False))))


def _broken_row(row: int, error: csv.Error) -> Fault:
    if "unexpected end of data" in str(error):
        reason = "a quotation mark is never closed, so this row and all below it were not read"
        return Fault(row, None, None, reason, "close the quotation mark, or double those in a cell")
    return Fault(row, None, None, f"the row cannot be read ({error})", f"fix the row, or {_EXPORT}")
