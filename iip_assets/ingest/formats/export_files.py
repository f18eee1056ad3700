"""What a labeling tool exported: a folder of JSON and images, in which anything may be wrong.

Knows nothing of labels, nor of images (see `export_images`). Whoever reads an entry catches
`BadEntry` and goes on with the next, so that one look names all that is wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import BadCell

T = TypeVar("T")

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
    """The problems found in the export that is the batch of this name."""

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
                _spelled_out(bad.reason),
                _spelled_out(bad.fix),
                row=row,
                column=None if bad.column is None else shown(bad.column),
                value=None if bad.value is None else excerpt(bad.value),
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
        return (*found, Problem(self.batch, found[0].file, reason, fix))


def is_plain_file(file: Path) -> bool:
    """Whether it is a regular file, and not a link to one."""
    return file.is_file() and not file.is_symlink()


def is_json(path: str) -> bool:
    """Whether a file may hold an export, by its name."""
    return path.lower().endswith(".json")


def read_exports(root: Path, paths: Sequence[str], form: str, findings: Findings) -> dict[str, Any]:
    """What the JSON files of an export hold, by path; other JSON files beside them are left out.

    Where none is of this format, all are given: what is wrong with them is to be told.

    Args:
        root: The folder.
        paths: The paths of the files in it.
        form: The tool, as `format_of` names it.
        findings: Takes the files that cannot be read.

    Raises:
        BadEntry: There is no JSON file.
    """
    documents: dict[str, Any] = {}
    for path in filter(is_json, paths):
        with findings.catching(path):
            documents[path] = read_json(root / path)
    if not documents and not findings:
        fix = "put the JSON file that the labeling tool exported into the folder"
        raise BadEntry(None, findings.batch, "no JSON file in the folder", fix)
    forms = {path: format_of(document) for path, document in documents.items()}
    chosen = [path for path in documents if forms[path] == form]
    chosen = chosen or [path for path in documents if forms[path]] or list(documents)
    # Beside these, COCO has captions and keypoints of the same images.
    instances = [path for path in chosen if PurePosixPath(path).name.startswith("instances_")]
    return {path: documents[path] for path in instances or chosen}


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        BadEntry: It is too large, no UTF-8 or no JSON.
    """
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
        reason = f"the file is not UTF-8 (at byte {error.start})"
    except RecursionError:
        reason = "the file nests lists without end"
    except ValueError as error:  # a JSON error, or a number of thousands of digits
        reason = f"the file is not JSON ({error})"
    raise BadEntry(None, None, reason, "export it again from the labeling tool")


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


def format_of(document: Any) -> str | None:
    """The tool whose export a JSON document is, as `iip ingest --format` names it, or None."""
    if isinstance(document, dict):
        listed = [isinstance(document.get(key), list) for key in ("images", "annotations")]
        return "coco" if all(listed) else None
    tasks = document if isinstance(document, list) else []
    return "labelstudio" if any(map(_is_task, tasks)) else None


def _is_task(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    said = {"annotations", "predictions"} & entry.keys()
    return "annotation_id" in entry or (bool(said) and isinstance(entry.get("data"), dict))


def as_object(value: Any, column: str) -> dict[str, Any]:
    """The value, which must be a JSON object."""
    return _of(dict, value, column, "an object")


def as_list(value: Any, column: str) -> list[Any]:
    """The value, which must be a JSON list."""
    return _of(list, value, column, "a list")


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


def as_cell(value: str, column: str, parse: Callable[[str], T], *, fix: str | None = None) -> T:
    """What `parse` makes of a text as of a cell of labels.csv.

    Raises:
        BadEntry: It raised `BadCell`; `fix` is what to do, if that is not what to do in a cell.
    """
    try:
        return parse(value)
    except BadCell as bad:
        raise BadEntry(column, value, bad.reason, fix or bad.fix) from bad


def entries(document: Mapping[str, Any], key: str) -> Iterator[tuple[int, Any]]:
    """The entries of a list in a document, counted from 1; an absent list is empty."""
    value = document.get(key)
    if value is not None:
        yield from enumerate(as_list(value, key), start=1)


def _of(kind: type[T], value: Any, column: str, wanted: str) -> T:
    if not isinstance(value, kind):
        raise _wrong_type(value, column, wanted)
    return value


def _wrong_type(value: Any, column: str, wanted: str) -> BadEntry:
    if value is None:
        return BadEntry(column, None, f"it is missing, expected {wanted}", "export the file again")
    return BadEntry(column, value, f"expected {wanted}", "export the file again")
