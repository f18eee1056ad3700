"""What is wrong with the data, in the words of whoever has to fix it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_LONGEST_VALUE = 120


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One thing that was not used, why, and how to fix it.

    Attributes:
        batch: The batch's folder name; None for files outside `batches/`.
        file: The file, relative to `data/` (or to the inbox batch).
        row: Data row of the file, the first below the header is 1; None when the file as a whole is
            meant.
        column: The column, if one is to blame.
        value: What stood there, shortened, control characters spelled out.
        reason: What is wrong.
        fix: What to do.
    """

    batch: str | None
    file: str
    row: int | None
    column: str | None
    value: str | None
    reason: str
    fix: str


def shown(value: str) -> str:
    """The value as it may be shown: shortened, with control characters spelled out."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def problem_frame(problems: Iterable[Problem]) -> pl.DataFrame:
    """The problems as a table, sorted by batch, file, row and column.

    Returns:
        Columns batch, file, row (Int64), column, value, why, fix.
    """
    import polars as pl

    def order(problem: Problem) -> tuple[str, ...]:
        row = "" if problem.row is None else f"{problem.row:020d}"
        return (
            problem.batch or "",
            problem.file,
            row,
            problem.column or "",
            problem.value or "",
            problem.reason,
            problem.fix,
        )

    schema = {
        "batch": pl.Utf8,
        "file": pl.Utf8,
        "row": pl.Int64,
        "column": pl.Utf8,
        "value": pl.Utf8,
        "reason": pl.Utf8,
        "fix": pl.Utf8,
    }
    rows = [astuple(problem) for problem in sorted(set(problems), key=order)]
    return pl.DataFrame(rows, schema=schema, orient="row")
