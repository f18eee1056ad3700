"""Where Dagster's log of asset events stands, read without Dagster in a millisecond."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

_STORAGE = re.compile(r"^(storage|event_log_storage)\b", re.MULTILINE)


def event_log_mark(dagster_home: Path) -> list[str] | None:
    """Where Dagster's SQLite log of asset events stands; None without one (PostgreSQL, or new)."""
    database = dagster_home / "history" / "runs" / "index.db"
    if not database.exists() or _is_elsewhere(dagster_home / "dagster.yaml"):
        return None
    try:
        connection = sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=1)
        try:
            # The count and the wipes tell of events that were taken away; the last one's run and
            # time of another that got its id, since SQLite gives the id of a deleted one again.
            events = connection.execute("SELECT max(id), count(*) FROM event_logs").fetchone()
            last = connection.execute(
                "SELECT run_id, timestamp FROM event_logs ORDER BY id DESC LIMIT 1"
            ).fetchone()
            wipes = connection.execute(
                "SELECT group_concat(wipe_timestamp) FROM asset_keys"
            ).fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return None
    return [str(part) for part in (*events, *(last or ()), *wipes)]


def _is_elsewhere(config: Path) -> bool:
    """Whether Dagster's settings name a storage, beside which an old SQLite log may still lie."""
    try:
        return bool(_STORAGE.search(config.read_text()))
    except FileNotFoundError:
        return False
