"""Files of the engine's own state, written so that they are there whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}")
# No write takes so long: what is older belongs to nobody.
_OLD_S = 3600.0


def write_bytes_whole(path: Path, data: bytes) -> None:
    """Writes the file under another name, brings it to the disk, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        # On a full disk, what was written is in the way of what can be freed.
        temporary.unlink(missing_ok=True)
        raise


def write_folder_whole(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes files by name into a folder that is there whole or not at all; a present one stays."""
    if folder.exists():
        return
    try:
        with new_folder(folder) as making:
            for name, data in files.items():
                write_bytes_whole(making / name, data)
    except OSError:
        if not folder.exists():  # another was first
            raise


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes this one in the end; nothing is left where anything fails.

    Nor is it where what was filled is taken away again.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    try:
        making.mkdir()
        yield making
        if making.exists():
            making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def write_text_whole(path: Path, text: str) -> None:
    """`write_bytes_whole` for UTF-8 text."""
    write_bytes_whole(path, text.encode())


def sweep_writes_of(path: Path) -> None:
    """Takes away what killed writes of this file left; only for who is its one writer now."""
    for file in path.parent.glob(f".{path.name}.*"):
        if _TEMPORARY.fullmatch(file.name):
            file.unlink(missing_ok=True)


def sweep_old_writes(folder: Path) -> None:
    """Takes away what killed writes left in a folder and two levels below, unless it is young."""
    for pattern in (".*", "*/.*", "*/*/.*"):
        for path in folder.glob(pattern):
            if _TEMPORARY.fullmatch(path.name) and time.time() - path.stat().st_mtime > _OLD_S:
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
