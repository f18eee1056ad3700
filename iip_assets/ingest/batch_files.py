"""The files of a folder that somebody hands in: listed and copied, no link of it followed.

What may stand in a batch's folder by its name and kind is said here; what the files hold is judged
in `batch_check`.
"""

from __future__ import annotations

import os
import shutil
import stat
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import IMAGE_SUFFIXES

READY_FILE = "READY"
"""Put into a batch of the inbox last: it is whole."""

ERRORS_FILE = "errors.csv"
"""What we write into a batch that is sent back."""

# Longest path within a batch, in bytes: the folders above it must fit into the system's 4,096 too.
_LONGEST_PATH = 500
_OURS = frozenset({READY_FILE, ERRORS_FILE})
# Files and folders that systems leave behind: thumbnails of a network drive, doubles in an archive.
_LITTER = frozenset({"Thumbs.db", "desktop.ini", "@eaDir", "__MACOSX"})


@dataclass(frozen=True, slots=True)
class BatchFile:
    """A file of a batch: its path there, with forward slashes, and what tells that it changed."""

    path: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class BatchListing:
    """What stands in a batch's folder: its files, in the order of their paths.

    What cannot be taken is a problem: links, devices, names that a row could never say.
    """

    files: tuple[BatchFile, ...]
    problems: tuple[Problem, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths alone."""
        return tuple(file.path for file in self.files)


def list_batch(folder: Path, batch: str) -> BatchListing:
    """The files of the folder of the batch with this name, by name, size and time; none is opened.

    READY, our own errors.csv and litter (hidden files, Thumbs.db, @eaDir) are no part of a batch. A
    hidden image is a problem, since nobody would miss it.
    """
    files: list[BatchFile] = []
    problems: list[Problem] = []
    for entry in _walk(folder):
        fault = _fault(entry)
        if fault is not None:
            problems.append(Problem(batch, shown(entry.path), *fault))
        elif entry.status is not None:
            files.append(BatchFile(entry.path, entry.status.st_size, entry.status.st_mtime_ns))
    return BatchListing(tuple(sorted(files, key=lambda file: file.path)), tuple(sorted(problems)))


def copy_batch(folder: Path, listing: BatchListing, out: Path) -> None:
    """Copies the listed files into the new folder `out`.

    A file that has become a link or a device since it was listed is not copied.
    """
    out.mkdir(parents=True)
    wanted = set(listing.paths)
    for entry in _walk(folder):
        if entry.path not in wanted:
            continue
        # Not to wait for a writer where a file became a fifo.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        source = os.open(entry.name, flags, dir_fd=entry.folder)
        with os.fdopen(source, "rb") as file:
            if stat.S_ISREG(os.fstat(source).st_mode):
                target = out / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as copy:
                    shutil.copyfileobj(file, copy, 1 << 20)


class _Entry(NamedTuple):
    """Something met in a folder."""

    path: str  # where, from the batch's folder
    folder: int  # descriptor of the open folder that holds it
    status: os.stat_result | None  # what it is, None where it cannot be read

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def _walk(folder: Path) -> Iterator[_Entry]:
    """Every entry but litter and plain folders; a link to a folder is an entry, not a way."""

    def vanished(error: OSError) -> None:
        raise error

    for root, folders, names, descriptor in os.fwalk(folder, onerror=vanished):
        below = os.path.relpath(root, folder)
        prefix = "" if below == "." else f"{below}/"
        found = sorted([*folders, *names])
        folders.clear()
        for name in found:
            if _is_litter(name) or (not prefix and name in _OURS):
                continue
            entry = _Entry(prefix + name, descriptor, _status(name, descriptor))
            fits = len(os.fsencode(entry.path)) <= _LONGEST_PATH
            if entry.status is not None and stat.S_ISDIR(entry.status.st_mode) and fits:
                folders.append(name)
            else:
                yield entry


def _status(name: str, folder: int) -> os.stat_result | None:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    needed = os.R_OK | os.X_OK if stat.S_ISDIR(status.st_mode) else os.R_OK
    readable = stat.S_ISLNK(status.st_mode) or os.access(name, needed, dir_fd=folder)
    return status if readable else None


def _is_litter(name: str) -> bool:
    if name in _LITTER:
        return True
    # macOS leaves ._a.jpg beside a.jpg on every foreign disk.
    hidden_image = name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("._")
    return name.startswith(".") and not hidden_image


def _fault(entry: _Entry) -> tuple[str, str] | None:
    """Why an entry cannot be taken and how to fix it, None where it can."""
    status = entry.status
    if status is None:
        return "it cannot be read", "make it readable for whoever ingests, or delete it"
    if len(os.fsencode(entry.path)) > _LONGEST_PATH:
        return (
            f"its path is longer than {_LONGEST_PATH} bytes",
            "put it into fewer folders, or give it a shorter name",
        )
    if not stat.S_ISREG(status.st_mode):
        link = stat.S_ISLNK(status.st_mode)
        what = "a link; links are not followed" if link else "a device, a socket or a pipe"
        return what, "put the file itself into the batch" if link else "delete it"
    odd = [char for char in entry.path if unicodedata.category(char) in ("Cc", "Cs")]
    if odd or "\\" in entry.path:
        what = "a backslash" if not odd else "characters that are no text"
        return f"its name holds {what}, so that no row can name it", "rename the file"
    if entry.name.startswith("."):
        return "a hidden image", "take the dot off its name, or delete it"
    return None
