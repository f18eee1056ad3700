"""Dagster's home comes into being whole, whoever is killed or comes second."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from iip_assets.engine import databases
from iip_assets.engine.dagster.instance import (
    BadInstanceError,
    DagsterEvents,
    open_instance,
    prepare_dagster_home,
)
from iip_assets.engine.event_cache import (
    CachedEvents,
    event_log_mark,
    read_cached_events,
    write_cached_events,
)
from iip_assets.engine.graph import Graph
from iip_assets.engine.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("DAGSTER_HOME", "")  # so that it is put back
    return Workspace(tmp_path, lambda _: SimpleNamespace())


def test_it_is_there_with_its_databases_or_not_at_all(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(home: str) -> Any:
        assert not workspace.dagster_home.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(dg.DagsterInstance, "from_config", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_dagster_home(workspace)
    assert not workspace.dagster_home.exists()
    prepare_dagster_home(workspace)
    assert (workspace.dagster_home / "history" / "runs" / "index.db").exists()
    assert "enabled: false" in (workspace.dagster_home / "dagster.yaml").read_text()


def test_the_second_of_two_takes_what_the_first_made(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = dg.DagsterInstance.from_config

    def slow(home: str) -> Any:
        monkeypatch.setattr(dg.DagsterInstance, "from_config", make)
        prepare_dagster_home(workspace)
        (workspace.dagster_home / "first").touch()
        return make(home)

    monkeypatch.setattr(dg.DagsterInstance, "from_config", slow)
    prepare_dagster_home(workspace)
    assert (workspace.dagster_home / "first").exists()
    assert [path.name for path in workspace.state.iterdir()] == ["dagster"]


@pytest.mark.parametrize(
    "text",
    [
        *("storage: [", "storage:\n  postgre: 3\n", "- a list", "storage: 7", "nonsense: 1"),
        *("\udcff\udcfe", "run_queue: no", "\0"),
    ],
)
def test_settings_that_dagster_does_not_take_are_named(text: str, workspace: Workspace) -> None:
    workspace.dagster_home.mkdir(parents=True)
    settings = workspace.dagster_home / "dagster.yaml"
    settings.write_text(text, errors="surrogateescape")
    with pytest.raises(BadInstanceError, match=r"dagster\.yaml .*correct it, or move it away"):
        open_instance(workspace)
    settings.unlink()
    with open_instance(workspace) as instance:
        assert instance.get_run_records() == []


def test_one_batch_and_one_refresh_of_the_sensors_run_at_a_time(workspace: Workspace) -> None:
    with open_instance(workspace) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        limits = {one["key"]: one["limit"] for one in queue.tag_concurrency_limits}
        assert limits == {"iip/batch": 1, "iip/due": 1}
        assert instance.get_sensor_settings()["use_threads"]


def test_settings_that_an_older_version_wrote_are_kept_and_taken(workspace: Workspace) -> None:
    old = "telemetry:\n  enabled: false\n"
    prepare_dagster_home(workspace)
    (workspace.dagster_home / "dagster.yaml").write_text(old)
    with open_instance(workspace) as instance:
        assert instance.get_concurrency_config().run_queue_config is not None
    assert (workspace.dagster_home / "dagster.yaml").read_text() == old


@pytest.mark.parametrize("name", ["50%20", "what?"])
def test_a_folder_that_dagster_cannot_name_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    with pytest.raises(BadInstanceError, match="move the workspace"):
        prepare_dagster_home(Workspace(tmp_path / name, lambda _: SimpleNamespace()))


@pytest.fixture
def read_only(workspace: Workspace) -> Iterator[Callable[[], None]]:
    """Makes the workspace one that can only be read, for root too."""
    root = workspace.root
    mounted = False

    def protect() -> None:
        nonlocal mounted
        for folder in [root, *(one for one in root.rglob("*") if one.is_dir())]:
            folder.chmod(0o555)
        if os.access(root, os.W_OK):
            commands = (["mount", "--bind", root, root], ["mount", "-o", "remount,bind,ro", root])
            for command in commands:
                if subprocess.run(command, check=False, capture_output=True).returncode:
                    pytest.skip("this user writes to every folder, and may not mount one")
                mounted = True

    yield protect
    if mounted:
        subprocess.run(["umount", root], check=True)
    for folder in [root, *(one for one in root.rglob("*") if one.is_dir())]:
        folder.chmod(0o755)


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "new"])
def test_a_workspace_that_can_only_be_read_is_looked_at(
    begun: bool, workspace: Workspace, read_only: Callable[[], None]
) -> None:
    graph = Graph([])
    if begun:
        with open_instance(workspace) as instance:
            DagsterEvents(instance).observe("numbers", "1")
        write_cached_events(workspace.state, graph, CachedEvents({}, {}))
    else:
        workspace.root.mkdir(exist_ok=True)
    read_only()
    assert (event_log_mark(workspace.dagster_home) is not None) is begun
    assert (read_cached_events(workspace.state, graph) is not None) is begun
    write_cached_events(workspace.state, graph, CachedEvents({}, {}))
    with open_instance(workspace) as instance:
        events = DagsterEvents(instance)
        assert events.observed("numbers") == ("1" if begun else None)
        events.observe("numbers", "2")  # in a copy
        assert events.observed("numbers") == "2"
    assert workspace.dagster_home.exists() is begun


def test_what_is_only_read_is_read_on_a_full_disk_and_nothing_is_recorded_in_a_copy(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_instance(workspace) as instance:
        DagsterEvents(instance).observe("numbers", "1")
    free = SimpleNamespace(free=0)
    monkeypatch.setattr(databases.shutil, "disk_usage", lambda path: free)
    before = {file: file.stat().st_mtime_ns for file in workspace.dagster_home.rglob("*")}
    with open_instance(workspace, to_read=True) as instance:
        assert DagsterEvents(instance).observed("numbers") == "1"
    assert before == {file: file.stat().st_mtime_ns for file in workspace.dagster_home.rglob("*")}
    prepare_dagster_home(workspace)
    assert os.environ["DAGSTER_HOME"] == str(workspace.dagster_home)


def test_words_of_any_language_may_stand_in_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    workspace = Workspace(tmp_path / "Augen für später #1", lambda _: SimpleNamespace())
    with open_instance(workspace) as instance:
        assert instance.get_run_records() == []
    assert (workspace.dagster_home / "history" / "runs" / "index.db").exists()
