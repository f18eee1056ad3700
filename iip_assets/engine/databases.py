"""Which of a workspace's SQLite files is damaged, where a library failed over one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from iip_assets.errors import DISK_IS_FULL

# What a database says that has pages of another one, or none, in the place of its own.
_DAMAGE = ("malformed", "not a database", "no such table", "no such column", "disk I/O error")
# SQLite calls it an I/O error where there is no room for the files beside a database.
_FULL_BELOW_BYTES = 1_000_000


def words_for_damage(error: BaseException, folders: Mapping[Path, str]) -> str | None:
    """What to tell the person at the terminal; None where no damaged database is behind an error.

    Args:
        error: What went wrong, in whichever library.
        folders: The folders below which databases may lie, with what to do about one there.
    """
    if not _is_of_a_database(error):
        return None
    for folder, fix in folders.items():
        if folder.exists() and is_full(folder):
            return DISK_IS_FULL
        for file in sorted(folder.rglob("*.db")):
            found = damage_of(file)
            if found is not None:
                return f"the database {file} is damaged ({found}). {fix}"
    return None


def is_full(folder: Path) -> bool:
    """Whether the folder's disk has no room for the files that SQLite makes beside a database."""
    return shutil.disk_usage(folder).free < _FULL_BELOW_BYTES


def damage_of(file: Path) -> str | None:
    """What SQLite finds wrong with a file, None where it is whole."""
    # Read as it is: to look writes nothing beside it.
    address = f"{file.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as opened:
            (found,) = opened.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(str(found).split())


def _is_of_a_database(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, sqlite3.DatabaseError) and any(word in str(seen) for word in _DAMAGE):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
