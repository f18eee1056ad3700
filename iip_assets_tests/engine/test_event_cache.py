"""The copy beside the event log is believed only while it must be true."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from iip_assets.engine.asset import asset
from iip_assets.engine.event_cache import read_cached_events, write_cached_events
from iip_assets.engine.graph import Graph
from iip_assets.engine.project import Materialized


@asset(room="toy")
def first() -> dict[str, Any]:
    return {}


@asset(room="toy")
def second(first: dict[str, Any]) -> dict[str, Any]:
    return {}


BOTH = Graph([first, second])


class FullEvents:
    """Everything is materialized."""

    def materialized(self, asset: str) -> Materialized:
        return Materialized(f"version of {asset}", "key")

    def observed(self, source: str) -> str:
        return "seen"

    def observe(self, source: str, data_version: str) -> None:
        raise AssertionError


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A workspace's state with Dagster's log of two runs, and the copy."""
    runs = tmp_path / "dagster" / "history" / "runs"
    runs.mkdir(parents=True)
    with sqlite3.connect(runs / "index.db") as log:
        log.execute("CREATE TABLE event_logs (id INTEGER PRIMARY KEY, run_id TEXT, timestamp TEXT)")
        log.execute("CREATE TABLE asset_keys (wipe_timestamp TEXT)")
        log.execute("INSERT INTO event_logs VALUES (1, 'one', '10:00'), (2, 'two', '11:00')")
    log.close()
    write_cached_events(tmp_path, BOTH, FullEvents())
    return tmp_path


def change(state: Path, *statements: str) -> None:
    with sqlite3.connect(state / "dagster" / "history" / "runs" / "index.db") as log:
        for statement in statements:
            log.execute(statement)
    log.close()


def test_it_is_believed_while_the_log_stands_still(state: Path) -> None:
    found = read_cached_events(state, BOTH)
    assert found is not None
    assert found.materialized("second") == Materialized("version of second", "key")


@pytest.mark.parametrize(
    "statements",
    [
        ["INSERT INTO event_logs VALUES (3, 'three', '12:00')"],
        ["DELETE FROM event_logs WHERE id = 1"],
        ["INSERT INTO asset_keys VALUES ('12:00')"],
        # SQLite gives a deleted event's id again.
        [
            "DELETE FROM event_logs WHERE id = 2",
            "INSERT INTO event_logs (run_id, timestamp) VALUES ('three', '12:00')",
        ],
    ],
    ids=["an event", "a deleted event", "a wipe", "a deleted event's id given again"],
)
def test_it_is_not_after(statements: list[str], state: Path) -> None:
    change(state, *statements)
    assert read_cached_events(state, BOTH) is None


def test_it_is_not_where_the_graph_has_other_assets(state: Path) -> None:
    """A branch without an asset must not make the other branch forget that asset."""
    write_cached_events(state, Graph([first]), FullEvents())
    assert read_cached_events(state, BOTH) is None


@pytest.mark.parametrize("key", ["storage", "event_log_storage"])
def test_it_is_not_where_dagster_keeps_its_log_elsewhere(key: str, state: Path) -> None:
    """After a move to PostgreSQL the old SQLite log lies there and never moves again."""
    (state / "dagster" / "dagster.yaml").write_text(f"{key}:\n  postgres: {{}}\n")
    assert read_cached_events(state, BOTH) is None


@pytest.mark.parametrize("name", ["two words", "Augenbilder für später", "50%20", "a#b?c=d"])
def test_it_is_believed_wherever_the_workspace_lies(name: str, state: Path) -> None:
    moved = state.rename(state.parent / name)
    assert read_cached_events(moved, BOTH) is not None


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_it_is_not_where_it_is_damaged(text: str, state: Path) -> None:
    (state / "events.json").write_text(text)
    assert read_cached_events(state, BOTH) is None
