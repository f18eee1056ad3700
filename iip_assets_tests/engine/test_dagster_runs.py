"""A run counts as under way while its process lives, and no longer."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from iip_assets.engine.dagster import runs as dagster_runs
from iip_assets.engine.dagster.runs import find_holder, hold_run_lock, runs_under_way

STARTED = dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def start(instance: dg.DagsterInstance, job: str = "refresh", **fields: Any) -> str:
    run: str = create_run_for_test(instance, job_name=job, status=STARTED, **fields).run_id
    return run


def look(instance: dg.DagsterInstance, state: Path) -> list[str]:
    found = runs_under_way(instance, state, jobs=["refresh"], assets=["a"])
    return [run.run_id for run in found]


class Child:
    """A process that performs a run until it is killed."""

    def __init__(self, act: Callable[[], None]) -> None:
        ready, told = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            act()
            os.write(told, b"x")
            signal.pause()
        os.read(ready, 1)
        os.close(ready)
        os.close(told)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def test_a_killed_run_is_failed_and_a_living_one_is_waited_for(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    run = start(instance)
    child = Child(lambda: hold_run_lock(tmp_path, run))
    try:
        assert look(instance, tmp_path) == [run]
    finally:
        child.kill()
    assert look(instance, tmp_path) == []
    found = instance.get_run_by_id(run)
    assert found is not None
    assert found.status == dg.DagsterRunStatus.FAILURE
    assert list((tmp_path / "runs").iterdir()) == []


def test_one_that_has_yet_to_begin_is_given_minutes(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(instance)
    assert look(instance, tmp_path) == [run]
    monkeypatch.setattr(dagster_runs, "_BEGINS_WITHIN", timedelta(0))
    assert look(instance, tmp_path) == []


def test_a_queued_run_waits_as_long_as_it_takes(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_runs, "_BEGINS_WITHIN", timedelta(0))
    location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="x"), "x")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "refresh")
    queued = create_run_for_test(
        instance,
        job_name="refresh",
        status=dg.DagsterRunStatus.QUEUED,
        remote_job_origin=origin,
        job_code_origin=JobPythonOrigin(
            "refresh", RepositoryPythonOrigin("python", ModuleCodePointer("x", "y"))
        ),
    ).run_id
    assert look(instance, tmp_path) == [queued]


def test_runs_of_somebody_else_are_neither_counted_nor_touched(
    instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_runs, "_BEGINS_WITHIN", timedelta(0))
    other = start(instance, job="another")
    ours = start(instance, job="__ASSET_JOB", asset_selection=frozenset({dg.AssetKey("a")}))
    assert look(instance, tmp_path) == []
    statuses = {run.run_id: run.status for run in instance.get_runs()}
    assert statuses == {other: STARTED, ours: dg.DagsterRunStatus.FAILURE}


def test_an_update_time_is_read_as_utc(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    run = start(instance)
    record = instance.get_run_records()[0]
    updated = record.update_timestamp
    aware = updated if updated.tzinfo else updated.replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - aware) < timedelta(minutes=1)
    assert look(instance, tmp_path) == [run]


def test_a_process_holds_the_lock_of_the_run_that_it_performs_now(tmp_path: Path) -> None:
    assert find_holder(tmp_path, "one") == "unknown"
    hold_run_lock(tmp_path, "one")
    hold_run_lock(tmp_path, "one")
    assert find_holder(tmp_path, "one") == "alive"
    hold_run_lock(tmp_path, "two")
    assert (find_holder(tmp_path, "one"), find_holder(tmp_path, "two")) == ("dead", "alive")
