"""Who materialized what, kept beside the event log so that a look at it need not load Dagster.

The copy counts only while the event log stands exactly where it stood when the copy was made. It is
a matter of speed alone: without it the same answers come from Dagster. Its file holds also what
`noop_cache` knows of a graph in which nothing is due.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.graph import Graph
from iip_assets.engine.hashing import sealed_json, unsealed_json
from iip_assets.engine.project import EventLog, Materialized, Project

_STORAGE = re.compile(r"^(storage|event_log_storage)\b", re.MULTILINE)


def event_log_mark(dagster_home: Path) -> list[str] | None:
    """Where Dagster's SQLite log of asset events stands; None without one (PostgreSQL, or new)."""
    database = dagster_home / "history" / "runs" / "index.db"
    if not database.exists() or _is_elsewhere(dagster_home / "dagster.yaml"):
        return None
    address = f"{database.absolute().as_uri()}?mode=ro"
    try:
        return _mark_of(address)
    except sqlite3.OperationalError:
        if os.access(database.parent, os.W_OK):
            return None
    except sqlite3.Error:
        return None
    # SQLite makes a file beside the database even to read it; where it cannot, nobody writes.
    with suppress(sqlite3.Error):
        return _mark_of(f"{address}&immutable=1")
    return None


def _mark_of(address: str) -> list[str]:
    with closing(sqlite3.connect(address, uri=True, timeout=1)) as connection:
        # The count and the wipes tell of events that were taken away; the last one's run and time
        # of another that got its id, since SQLite gives the id of a deleted one again.
        events = connection.execute("SELECT max(id), count(*) FROM event_logs").fetchone()
        last = connection.execute(
            "SELECT run_id, timestamp FROM event_logs ORDER BY id DESC LIMIT 1"
        ).fetchone()
        wipes = connection.execute("SELECT group_concat(wipe_timestamp) FROM asset_keys").fetchone()
    return [str(part) for part in (*events, *(last or ()), *wipes)]


def _is_elsewhere(config: Path) -> bool:
    """Whether Dagster's settings name a storage, beside which an old SQLite log may still lie."""
    try:
        return bool(_STORAGE.search(config.read_text(errors="replace")))
    except FileNotFoundError:
        return False


class NeedsDagsterError(RuntimeError):
    """Something is to be recorded, for which Dagster must be loaded."""


@dataclass(frozen=True)
class CachedEvents:
    """A read-only event log."""

    materializations: dict[str, Materialized]
    observations: dict[str, str]

    def materialized(self, asset: str) -> Materialized | None:
        """The asset's latest materialization."""
        return self.materializations.get(asset)

    def observed(self, source: str) -> str | None:
        """The source's data version when it was observed last."""
        return self.observations.get(source)

    def observe(self, source: str, data_version: str) -> None:
        """Refuses: a copy cannot record."""
        raise NeedsDagsterError(f"{source} is now {data_version}")


def read_cached_events(state: Path, graph: Graph) -> CachedEvents | None:
    """The copy, if it is of this graph and the event log has not moved since it was made."""
    mark = event_log_mark(state / "dagster")
    if mark is None:
        return None
    try:
        kept = unsealed_json(events_file(state).read_text())
        if kept["mark"] != mark or kept["graph"] != _names(graph):
            return None
        return events_in(kept)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def events_in(kept: Mapping[str, Any]) -> CachedEvents:
    """The event log in the content of the file."""
    made = {name: Materialized(**fields) for name, fields in kept["materialized"].items()}
    return CachedEvents(made, kept["observed"])


def events_file(state: Path) -> Path:
    """Where the copy lies."""
    return state / "events.json"


def present_events(project: Project) -> EventLog:
    """Who materialized what: the copy beside the event log where it holds, else Dagster's own."""
    cached = read_cached_events(project.workspace.state, project.graph)
    if cached is not None:
        return cached
    from iip_assets.engine.dagster.instance import DagsterEvents, open_instance

    return DagsterEvents(open_instance(project.workspace, to_read=True))


def write_cached_events(
    state: Path, graph: Graph, events: EventLog, *, noop: Mapping[str, Any] | None = None
) -> CachedEvents:
    """Copies what the event log says of the graph, with where the event log stood before.

    Args:
        state: The workspace's state folder.
        graph: The graph.
        events: What is copied.
        noop: What `noop_cache` keeps beside it.
    """
    mark = event_log_mark(state / "dagster")
    made = {name: found for name in graph.assets if (found := events.materialized(name))}
    seen = {
        name: version for name in graph.sources if (version := events.observed(name)) is not None
    }
    rows = {name: vars(found) for name, found in made.items()}
    kept = {
        "mark": mark,
        "graph": _names(graph),
        "materialized": rows,
        "observed": seen,
        "noop": noop,
    }
    with suppress(OSError):  # whoever may only read the workspace can look all the same
        write_text_whole(events_file(state), sealed_json(kept))
    return CachedEvents(made, seen)


def _names(graph: Graph) -> list[str]:
    return sorted([*graph.assets, *graph.sources])
