"""The folders of a batch on its way: the inbox, a private one while it is made ready, `rejected/`.

Between the move of a batch into `data/batches` and the moment when `data.dvc` names it, a note says
that the folder there is ours: a kill in between leaves it, and the next ingest takes it away again.
The inbox still has the batch then. All of it happens under the ingest's lock.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iip_assets.dataset.csv_file import csv_text, no_formula
from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import ANNOTATIONS_FILE, LABELS_FILE
from iip_assets.engine.atomic import write_text_whole
from iip_assets.errors import counted
from iip_assets.ingest.batch_files import ERRORS_FILE, READY_FILE, list_batch

INBOX_FOLDER = "inbox"
REJECTED_FOLDER = "rejected"

# Batch name to whether the data has it.
Tracked = Callable[[str], bool]
_NOTE = "taking.json"

ERROR_COLUMNS = ("file", "row", "column", "value", "reason", "fix")
"""The columns of errors.csv, each an attribute of a `Problem`."""


@dataclass(frozen=True)
class WaitingBatch:
    """A batch that is whole and waits.

    Attributes:
        name: The folder's name.
        folder: Where it lies.
        fingerprint: Another one for every drop, even of the same files.
    """

    name: str
    folder: Path
    fingerprint: str


def waiting_batches(root: Path) -> list[WaitingBatch]:
    """The folders of the inbox that have READY, in the order of their names; no image is read."""
    inbox = root / INBOX_FOLDER
    try:
        folders = sorted(inbox.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    waiting: list[WaitingBatch] = []
    for folder in folders:
        if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            fingerprint = _fingerprint(folder)
        except OSError:  # taken or moved while we looked
            continue
        if fingerprint is not None:
            waiting.append(WaitingBatch(folder.name, folder, fingerprint))
    return waiting


def _fingerprint(folder: Path) -> str | None:
    try:
        ready = (folder / READY_FILE).lstat()
    except FileNotFoundError:
        return None
    hasher = hashlib.sha256(f"{ready.st_ctime_ns}\n".encode())
    for file in list_batch(folder, folder.name).files:
        hasher.update(f"{file.path}\n{file.size}\n".encode("utf-8", "surrogateescape"))
        if file.path in (LABELS_FILE, ANNOTATIONS_FILE):
            with (folder / file.path).open("rb") as labels:
                hasher.update(hashlib.file_digest(labels, "sha256").digest())
    return hasher.hexdigest()


def staging_root(root: Path) -> Path:
    """Where the private folders lie."""
    return root / ".iip" / "ingest"


@contextmanager
def staging(root: Path, batches: Path, tracked: Tracked) -> Iterator[Path]:
    """A private folder, gone afterwards with all that did not become data.

    A batch that `data.dvc` does not name (see `tracked`) is taken out of `batches` again.
    """
    place = staging_root(root) / uuid.uuid4().hex
    place.mkdir(parents=True)
    try:
        yield place
    except BaseException:
        # What went wrong is told, even if clearing up goes wrong too: the next ingest does it.
        with contextlib.suppress(Exception):
            _clear(place, batches, tracked)
        raise
    _clear(place, batches, tracked)


def sweep(root: Path, batches: Path, tracked: Tracked) -> None:
    """Takes away what killed ingests left; only for whoever holds the ingest's lock."""
    for place in leftovers(root):
        _clear(place, batches, tracked)


def leftovers(root: Path) -> list[Path]:
    """The private folders that are there now: of an ingest at work, or of killed ones."""
    place = staging_root(root)
    return sorted(place.iterdir()) if place.is_dir() else []


def leftovers_in_words(root: Path) -> str | None:
    """What killed ingests left, with its size; None where there is nothing."""
    places = leftovers(root)
    if not places:
        return None
    files = [file for place in places for file in (place, *place.rglob("*")) if file.is_file()]
    size = sum(file.lstat().st_size for file in files)
    return (
        f"{counted(len(places), 'copy')} of batches in .iip/ingest ({size / 1e6:.1f} MB), of an "
        "ingest at work or of killed ones"
    )


def move_into_data(staged: Path, place: Path, target: Path) -> None:
    """Moves a batch from its private folder `place` into the data, with the note that says so.

    A folder that is there already is a copy of the batch that DVC does not track; it is moved out
    of the way.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text_whole(place / _NOTE, json.dumps({"batch": target.name}))
    if target.exists():
        _move(target, place / "replaced")
    _move(staged, target)


def tracked_now(place: Path) -> None:
    """Takes the note away: `data.dvc` names the batch."""
    (place / _NOTE).unlink()


def _clear(place: Path, batches: Path, tracked: Tracked) -> None:
    batch = _noted_batch(place)
    if batch is not None and not tracked(batch) and (batches / batch).exists():
        _move(batches / batch, place / "undone")
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()


def _noted_batch(place: Path) -> str | None:
    try:
        return str(json.loads((place / _NOTE).read_text())["batch"])
    except (FileNotFoundError, NotADirectoryError):
        return None


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # `data/` lies on another disk. The note covers a copy that is cut short.
        shutil.copytree(source, target)
        shutil.rmtree(source)


def errors_csv(problems: Iterable[Problem]) -> str:
    """The problems as CSV; row and column are empty where a file as a whole is meant."""
    return csv_text(ERROR_COLUMNS, (_cells(problem) for problem in problems))


def _cells(problem: Problem) -> dict[str, Any]:
    return {name: no_formula(getattr(problem, name)) for name in ERROR_COLUMNS}


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
        write_errors(place, problems)
        (folder / READY_FILE).unlink(missing_ok=True)


def write_errors(place: Path, problems: Iterable[Problem]) -> None:
    """Writes errors.csv alone, for a folder that is not ours to move."""
    write_text_whole(place / ERRORS_FILE, errors_csv(problems))


def shown_errors(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """The problems as rows of text for a page or a terminal."""
    return [
        {name: shown("" if cell is None else str(cell)) for name, cell in _cells(problem).items()}
        for problem in problems
    ]


def _is_free(place: Path) -> bool:
    return place.is_dir() and {entry.name for entry in place.iterdir()} <= {ERRORS_FILE}
