"""Sending a batch back: its folder goes to `rejected/`, with errors.csv that says what to fix."""

from __future__ import annotations

import csv
import errno
import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from iip_assets.dataset.problems import Problem, shown
from iip_assets.engine.atomic import write_text_whole
from iip_assets.ingest.batch_files import ERRORS_FILE, READY_FILE
from iip_assets.ingest.inbox import REJECTED_FOLDER

_COLUMNS = ("file", "row", "column", "value", "reason", "fix")


def errors_csv(problems: Iterable[Problem]) -> str:
    """The problems as CSV; row and column are empty where a file as a whole is meant."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for problem in problems:
        cells = [getattr(problem, name) for name in _COLUMNS]
        writer.writerow(["" if cell is None else cell for cell in cells])
    return out.getvalue()


def rejection_place(root: Path, folder: Path) -> Path:
    """The folder in `rejected/` that a batch's folder would go to; never one that holds another's.

    A folder that lies there already stays. One that holds nothing but an errors.csv is free.
    """
    rejected = root / REJECTED_FOLDER
    if folder.parent == rejected.resolve():
        return folder
    place, count = rejected / folder.name, 1
    while place.is_symlink() or (place.exists() and not _is_free(place)):
        count += 1
        place = rejected / f"{folder.name}-{count}"
    return place


def send_back(folder: Path, place: Path, problems: Sequence[Problem]) -> None:
    """Moves a batch's folder to its place in `rejected/`, errors.csv written before.

    A folder on another disk is not carried over: it stays, without READY, and its errors are told.
    """
    write_text_whole(folder / ERRORS_FILE, errors_csv(problems))
    if folder == place:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        shutil.rmtree(place)
    try:
        folder.rename(place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        tell_errors(place, problems)
        (folder / READY_FILE).unlink(missing_ok=True)


def tell_errors(place: Path, problems: Iterable[Problem]) -> None:
    """Writes errors.csv alone, for a folder that is not ours to move."""
    write_text_whole(place / ERRORS_FILE, errors_csv(problems))


def shown_errors(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """The problems as rows of text for a page or a terminal."""
    return [
        {
            name: shown("" if (cell := getattr(problem, name)) is None else str(cell))
            for name in _COLUMNS
        }
        for problem in problems
    ]


def _is_free(place: Path) -> bool:
    return place.is_dir() and {entry.name for entry in place.iterdir()} <= {ERRORS_FILE}
