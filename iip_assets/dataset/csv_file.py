"""CSV bytes to named cells, with every way in which such a file is broken told apart; and back.

Knows nothing of labels: what a cell may say is `schema`, what a row means is `labels`.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import BadCell

if TYPE_CHECKING:
    import polars as pl

Fault = Callable[..., Problem]
"""Makes a problem of the file from reason and fix, and by name `row`, `column` and `value`."""

# Columns that one fault names.
_MOST_NAMED = 10
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?")
_EXPORT = 'export it as "CSV UTF-8", separated by commas'


@dataclass(frozen=True, slots=True)
class Record:
    """One data row: its number, as a spreadsheet counts (the header is row 1), and its cells."""

    row: int
    cells: dict[str, str]


@dataclass(frozen=True)
class CsvFile:
    """What could be read of a file, and what could not.

    Attributes:
        columns: The header, in lower case.
        records: Rows that could be read.
        problems: Rows that could not; one without a row means that nothing was read.
    """

    columns: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    problems: tuple[Problem, ...] = ()


def read_csv(data: bytes, *, required: Sequence[str], fault: Fault) -> CsvFile:
    """Read a CSV file (UTF-8, commas) with a header of these columns at least; never raises on it.

    A byte order mark, Windows line ends, blank lines and empty surplus cells (a spreadsheet's
    trailing commas) are fine.
    """
    try:
        reader = csv.reader(io.StringIO(_decode(data), newline=""), strict=True)
        row, columns = _read_header(reader, required)
    except BadCell as bad:
        return CsvFile(problems=(fault(bad.reason, bad.fix),))
    found = list(_rows(reader, row, columns, fault))
    return CsvFile(
        columns,
        tuple(one for one in found if isinstance(one, Record)),
        tuple(one for one in found if isinstance(one, Problem)),
    )


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise BadCell("the file is UTF-16, expected UTF-8", _EXPORT)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        bad = data[error.start : error.start + 8].hex(" ")
        reason = f"the file is not UTF-8: line {line} has the bytes {bad}"
        raise BadCell(reason, _EXPORT) from None
    if not text.strip():
        fix = "write a header line and one row per image, or delete the file"
        raise BadCell("the file is empty", fix)
    return text


def _read_header(
    reader: Iterator[list[str]], required: Sequence[str]
) -> tuple[int, tuple[str, ...]]:
    """The row that the header stands in, the first that is not blank, and its names."""
    row, names = 0, list[str]()
    try:
        while not any(names):
            row, names = row + 1, [name.strip().lower() for name in next(reader)]
    except StopIteration:
        pass
    except csv.Error as error:
        raise BadCell(f"its first line is broken ({error})", _EXPORT) from None
    while names and not names[-1]:
        names.pop()
    columns = tuple(names)
    if len(columns) == 1:
        for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in columns[0]:
                raise BadCell(f"the file is separated by {name}, expected commas", _EXPORT)
    if "" in columns:
        raise BadCell("a column of the header has no name", "name it or delete the column")
    doubled = sorted(name for name, count in Counter(columns).items() if count > 1)
    if doubled:
        more = f" and {len(doubled) - _MOST_NAMED} more" if len(doubled) > _MOST_NAMED else ""
        reason = f"the header names {', '.join(doubled[:_MOST_NAMED])}{more} more than once"
        raise BadCell(reason, "keep one column of each name")
    absent = [name for name in required if name not in columns]
    if absent:
        raise BadCell(
            f"the header lacks {', '.join(absent)}; it has {', '.join(columns)[:200]}",
            "begin the file with a line of column names: image,label,mask,…",
        )
    return row, columns


def _rows(
    reader: Iterator[list[str]], row: int, columns: Sequence[str], fault: Fault
) -> Iterator[Record | Problem]:
    while True:
        row += 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            yield fault(*_broken(error), row=row)
            continue
        if not any(cells):
            continue
        if len(cells) < len(columns) or any(cells[len(columns) :]):
            reason = f"the row has {len(cells)} cells, the header {len(columns)}"
            fix = "give every column a cell, empty when not known; put quotes around commas"
            yield fault(reason, fix, row=row, value=shown(",".join(cells)))
        else:
            yield Record(row, dict(zip(columns, cells, strict=False)))


def _broken(error: csv.Error) -> tuple[str, str]:
    if "unexpected end of data" in str(error):
        reason = "a quotation mark is never closed, so this row and all below it were not read"
        return reason, "close the quotation mark, or double those in a cell"
    return f"the row cannot be read ({error})", f"fix the row, or {_EXPORT}"


def no_formula(value: Any) -> Any:
    """The value of a file for people, of whose cells a spreadsheet runs none as a formula."""
    starts = isinstance(value, str) and value.startswith(_FORMULA_STARTS)
    return f"'{value}" if starts and not _NUMBER.fullmatch(value) else value


def table_csv(table: pl.DataFrame, *, float_precision: int | None = None) -> str:
    """A table as CSV for people."""
    import polars as pl

    texts = pl.col(pl.String)
    risky = texts.str.contains(r"^[=+\-@\t\r]") & ~texts.str.contains(rf"^{_NUMBER.pattern}$")
    safe = table.with_columns(pl.when(risky).then(texts.str.replace("^", "'")).otherwise(texts))
    return safe.write_csv(float_precision=float_precision)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Rows as CSV with a header and one kind of line end on every system; None is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
