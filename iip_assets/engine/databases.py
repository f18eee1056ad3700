"""Which of a workspace's SQLite files is damaged, where a library failed over one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

# What a database says that has pages of another one, or none, in the place of its own.
_DAMAGE = ("malformed", "not a database", "no such table", "no such column", "disk I/O error")


def words_for_damage(error: BaseException, databases: Iterator[Path]) -> str | None:
    """What to tell the person at the terminal; None where no damaged database is behind an error.

    Args:
        error: What went wrong, in whichever library.
        databases: The SQLite files that it may have been of.
    """
    if not _is_of_a_database(error):
        return None
    for file in databases:
        found = damage_of(file)
        if found is not None:
            return (
                f"the database {file} is damaged ({found}). It may be moved away: what was "
                "computed does not lie in it. Then `iip refresh` takes everything up again; what "
                "it told of past runs is in the file that was moved"
            )
    return None


def damage_of(file: Path) -> str | None:
    """What SQLite finds wrong with a file, None where it is whole."""
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as opened:
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
