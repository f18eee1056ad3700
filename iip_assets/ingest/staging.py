"""Private folders in which a batch is made ready, and what a killed ingest left of them.

Between the move of a batch into `data/batches` and the moment when `data.dvc` names it, a note says
that the folder there is ours: a kill in between leaves it, and the next ingest takes it away again.
The inbox still has the batch then. All of it happens under the ingest's lock.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from iip_assets.engine.atomic import write_text_whole

# Batch name to whether the data has it.
Tracked = Callable[[str], bool]

_NOTE = "taking.json"


def staging_root(root: Path) -> Path:
    """Where the private folders lie."""
    return root / ".iip" / "ingest"


@contextmanager
def staging(root: Path, batches: Path, tracked: Tracked) -> Iterator[Path]:
    """A private folder, gone afterwards with all that did not become data.

    Args:
        root: The workspace.
        batches: The folder `data/batches`.
        tracked: Whether `data.dvc` names a batch.
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


def move_into_data(staged: Path, place: Path, target: Path) -> None:
    """Moves a staged batch to its place in the data, with the note that it is not yet tracked.

    Args:
        staged: The batch in the private folder.
        place: The private folder.
        target: Its folder in `data/batches`. One that is there is a copy of the batch that DVC
            does not track; it is moved out of the way.
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
