"""Where in an export what stands in the batch made of it is from.

A fault that is found only in the native batch is told of the file, the entry and the field that
people have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from iip_assets.dataset.problems import Problem
from iip_assets.dataset.schema import LABELS_FILE
from iip_assets.ingest.formats.masks import Region

_ROWS = re.compile(r"\brows (\d+(?:, \d+)*)")


Size = tuple[int | None, int | None]


@dataclass(frozen=True)
class NativeRow:
    """A row of labels.csv or annotations.csv in the making, and the entry that it is made of."""

    image: str  # the image's path in the export's folder
    file: str  # the file of the export that names it
    row: int  # the entry of that file
    cells: Mapping[str, str] = field(default_factory=dict)  # neither image nor mask
    fields: Mapping[str, str] = field(default_factory=dict)  # column to where in the entry it is
    regions: tuple[Region, ...] = ()  # what the mask is painted from; without any, it has no mask
    size: Size = (None, None)  # height and width that the export gives the image, where it does
    table: str = LABELS_FILE  # the file of the native batch


class Sources:
    """The entries of an export by what was made of them."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], NativeRow] = {}
        self._images: dict[str, str] = {}
        self._masks: dict[str, NativeRow] = {}
        self._tables: dict[str, str] = {}

    def add(self, entry: NativeRow, row: int, cells: Mapping[str, str]) -> None:
        """Notes that a row of the native batch, with these cells, is made of an entry."""
        self._rows[entry.table, row] = entry
        self._images[cells["image"]] = entry.image
        self._tables.setdefault(entry.table, entry.file)
        if "mask" in cells:
            self._masks.setdefault(cells["mask"], entry)

    def image(self, path: str) -> str:
        """The path in the export of the image that has this one in the batch."""
        return self._images.get(path, path)

    def told(self, problem: Problem) -> Problem:
        """A problem of the native batch as one of the export."""
        found = self._rows.get((problem.file, problem.row or 0))
        if found is not None:
            return self._of_entry(problem, found)
        if problem.file in self._masks:
            entry = self._masks[problem.file]
            return replace(problem, file=entry.file, row=entry.row, column=entry.fields.get("mask"))
        if problem.file in self._tables:
            return replace(problem, file=self._tables[problem.file])
        return replace(problem, file=self.image(problem.file))

    def _of_entry(self, problem: Problem, found: NativeRow) -> Problem:
        def entries(rows: re.Match[str]) -> str:
            numbers = rows[1].split(", ")
            named = [self._rows.get((problem.file, int(number))) for number in numbers]
            return f"entries {', '.join(str(one.row) for one in named if one is not None)}"

        value = problem.value
        if problem.column == "image":
            value = found.image
        elif problem.column == "mask":
            value = None  # the mask was painted here
        return replace(
            problem,
            file=found.file,
            row=found.row,
            column=found.fields.get(problem.column or "", problem.column),
            value=value,
            reason=_ROWS.sub(entries, problem.reason),
        )
