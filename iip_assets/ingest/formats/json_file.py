"""JSON from a labeling tool: read whole, and nothing in it believed to be what it should be.

Knows nothing of labels. Whoever reads an entry catches `BadEntry` and goes on with the next, so
that one look names all that is wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iip_assets.dataset.problems import Problem, shown

_LARGEST_MIB = 512
# Nobody reads more; a broken export would otherwise name each of its million entries.
_MOST_PROBLEMS = 1000
_LONGEST_WORDS = 500


class BadEntry(ValueError):
    """A place in an export that says nothing usable.

    Attributes:
        column: Where in the entry, such as `annotations.segmentation`.
        value: What stands there; None where that would not help.
        reason: What is wrong.
        fix: What to do.
    """

    def __init__(self, column: str | None, value: Any, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.column = column
        self.value = value
        self.reason = reason
        self.fix = fix


@dataclass
class Findings:
    """The problems found in an export.

    Attributes:
        batch: The name of the export's folder.
    """

    batch: str
    _found: list[Problem] = field(default_factory=list)
    _left_out: int = 0

    def add(self, file: str, row: int | None, bad: BadEntry) -> None:
        """Keeps one problem; the first thousand are kept, the rest counted."""
        if len(self._found) >= _MOST_PROBLEMS:
            self._left_out += 1
            return
        self._found.append(
            Problem(
                shown(self.batch),
                shown(file),
                row,
                None if bad.column is None else shown(bad.column),
                None if bad.value is None else excerpt(bad.value),
                _spelled_out(bad.reason),
                _spelled_out(bad.fix),
            )
        )

    @contextmanager
    def catching(self, file: str, row: int | None = None) -> Iterator[None]:
        """Whatever is bad inside becomes a problem of that file and row."""
        try:
            yield
        except BadEntry as bad:
            self.add(file, row, bad)

    def __bool__(self) -> bool:
        return bool(self._found)

    def problems(self) -> tuple[Problem, ...]:
        """All that is wrong, in the order in which it was found."""
        found = tuple(dict.fromkeys(self._found))
        if not self._left_out:
            return found
        reason = f"{self._left_out} more problems are not listed"
        fix = "fix those that are listed, then read the export again"
        return (*found, Problem(self.batch, found[0].file, None, None, None, reason, fix))


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        BadEntry: It is too large, no UTF-8 or no JSON.
    """
    again = "export it again from the labeling tool"
    size = file.stat().st_size
    if size > _LARGEST_MIB << 20:
        raise BadEntry(
            None,
            None,
            f"the file has {size >> 20} MiB, at most {_LARGEST_MIB} are read at once",
            "export the labels in several parts, each a batch of its own",
        )
    try:
        return json.loads(file.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadEntry(
            None, None, f"the file is not UTF-8 (at byte {error.start})", again
        ) from error
    except RecursionError as error:
        raise BadEntry(None, None, "the file nests lists without end", again) from error
    except ValueError as error:  # a JSON error, or a number of thousands of digits
        raise BadEntry(None, None, f"the file is not JSON ({error})", again) from error


def excerpt(value: Any) -> str:
    """A value of any kind as it may be shown, however large it is."""
    if isinstance(value, str):
        return shown(value[:1000])
    if isinstance(value, (list, dict)):
        kind = "a list" if isinstance(value, list) else "an object"
        return f"{kind} of {len(value)}"
    return shown(json.dumps(value))


def _spelled_out(text: str) -> str:
    """The text without what no file of problems could hold, such as half a surrogate pair."""
    cut = text if len(text) <= _LONGEST_WORDS else text[: _LONGEST_WORDS - 1] + "…"
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut)


def as_object(value: Any, column: str) -> dict[str, Any]:
    """The value, which must be a JSON object."""
    if not isinstance(value, dict):
        raise _wrong_type(value, column, "an object")
    return value


def as_list(value: Any, column: str) -> list[Any]:
    """The value, which must be a JSON list."""
    if not isinstance(value, list):
        raise _wrong_type(value, column, "a list")
    return value


def as_text(value: Any, column: str) -> str:
    """The value, which must be a text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise _wrong_type(value, column, "a text")
    return value


def as_id(value: Any, column: str) -> int | str:
    """The value, which must be an id: a whole number or a text."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise _wrong_type(value, column, "an id")
    return value


def as_number(value: Any, column: str) -> float:
    """The value, which must be a number, and not NaN or too large for one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong_type(value, column, "a number")
    # An int may be too large for a float, so it is compared before it is converted.
    if not -1e15 < value < 1e15 or not math.isfinite(value):
        raise BadEntry(column, value, "not a number that can be used", "export the file again")
    return float(value)


def as_side(value: Any, column: str) -> int | None:
    """The side of an image in pixels; None where a tool wrote nothing or 0."""
    if value is None or value == 0:
        return None
    side = as_number(value, column)
    if side < 1 or side != int(side):
        raise BadEntry(column, value, "not a number of pixels", "export the file again")
    return int(side)


def entries(document: Mapping[str, Any], key: str) -> Iterator[tuple[int, Any]]:
    """The entries of a list in a document, counted from 1; an absent list is empty."""
    value = document.get(key)
    if value is not None:
        yield from enumerate(as_list(value, key), start=1)


def _wrong_type(value: Any, column: str, wanted: str) -> BadEntry:
    if value is None:
        return BadEntry(column, None, f"it is missing, expected {wanted}", "export the file again")
    return BadEntry(column, value, f"expected {wanted}", "export the file again")
