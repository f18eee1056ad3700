"""The files of a batch that no reader uses, so that none of them is lost without a word.

One that holds labels sends the batch back, with what would have it read: another name, or the
format of the labeling tool that wrote it. The others are named, and are in the data.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iip_assets.dataset.labels import READERS
from iip_assets.dataset.layout import is_image_path, lies_in, may_hold_labels
from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import LABELING_FILE, LABELS_FILE, MASKS_FOLDER
from iip_assets.ingest.formats.export_files import BadEntry, format_of, is_json, read_json

# Columns that only a table of labels has.
_TELLING = {"image", "label", "labeler", "mask", "file_name", "filename"}
_TABLES = (".csv", ".tsv", ".txt")
_FORMATS = {"coco": "COCO", "labelstudio": "Label Studio"}
_MOST_NAMED = 10


@dataclass(frozen=True)
class Unread:
    """What no reader uses: `problems` where labels would be lost, and the `others` by path."""

    problems: tuple[Problem, ...]
    others: tuple[str, ...]
    hides_rows: bool  # one of them holds labels, so it is not known what rows would name


def find_unread(
    folder: Path, batch: str, paths: Iterable[str], *, strays: Sequence[Problem], place: str
) -> Unread:
    """Looks into the files of a batch's folder that the native layout has no place for.

    Args:
        folder: The batch's folder.
        batch: Its name.
        paths: The paths within it.
        strays: What their names alone tell, by file: it gives way to what the files tell.
        place: Where the batch's folder is or will be, for what to type.
    """
    found = {problem.file: problem for problem in strays}
    others: list[str] = []
    hides_rows = any(may_hold_labels(path) for path in found)
    for path in paths:
        if path in READERS or path == LABELING_FILE or is_image_path(path):
            continue
        form = _format_of(folder / path)
        if form is not None:
            hides_rows = True
            found[path] = _offer(batch, path, form, place)
        elif lies_in(path, MASKS_FOLDER):
            continue
        elif path not in found and _is_table_of_labels(folder / path):
            fix = f"call it {LABELS_FILE}, in the batch's folder, or delete it"
            reason = "not read, though it has the columns of labels"
            found[path] = Problem(batch, shown(path), reason, fix)
            hides_rows = True
        elif path not in found:
            others.append(path)
    return Unread(tuple(found.values()), tuple(others), hides_rows)


def in_words(paths: Sequence[str]) -> str:
    """The paths as a line of text, ten of them at most."""
    named = ", ".join(shown(path) for path in paths[:_MOST_NAMED])
    more = len(paths) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _format_of(file: Path) -> str | None:
    if not is_json(file.name):
        return None
    try:
        return format_of(read_json(file))
    except BadEntry:
        return None


def _offer(batch: str, path: str, form: str, place: str) -> Problem:
    reason = f"an export of {_FORMATS[form]}, which is not read as long as nobody says so"
    fix = f"`{shlex.join(['iip', 'ingest', place, '--format', form])}`"
    return Problem(batch, shown(path), reason, fix)


def _is_table_of_labels(file: Path) -> bool:
    if file.suffix.lower() not in _TABLES:
        return False
    with file.open("rb") as data:
        first = data.readline(10_000).decode("utf-8-sig", "replace")
    names = {name.strip(' "\r\n').lower() for name in re.split(r"[,;\t|]", first)}
    return len(names) > 1 and not names.isdisjoint(_TELLING)
