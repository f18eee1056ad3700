"""Runs of a workspace's graph and jobs that are queued or in progress, dead ones told from them.

The process of a run locks a file, which the system frees when it dies: Dagster takes a run for
started until somebody says otherwise, also when its process was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import dagster as dg
from filelock import FileLock, Timeout

Holder = Literal["alive", "dead", "unknown"]

# The lock of the run that this process performs: held until it performs another, or dies.
_held: dict[str, FileLock] = {}


def hold_run_lock(state: Path, run_id: str) -> None:
    """Says that this process performs the run, from now until it performs another or dies."""
    if run_id in _held:
        return
    while _held:
        _held.popitem()[1].release()
    file = _file(state, run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, thread_local=False)
    with suppress(Timeout):  # another process of the same run has it, which says the same
        lock.acquire(timeout=0)
        _held[run_id] = lock


def find_holder(state: Path, run_id: str) -> Holder:
    """Whether the process that performs the run is alive; unknown where none has begun."""
    file = _file(state, run_id)
    if not file.exists():
        return "unknown"
    try:
        with FileLock(file, timeout=0, thread_local=False):
            return "dead"
    except Timeout:
        return "alive"


def forget_run_locks(state: Path, *, but: Collection[str]) -> None:
    """Removes the files of runs that are over, except those named."""
    for file in (state / "runs").glob("*.lock"):
        if file.stem not in but and find_holder(state, file.stem) == "dead":
            file.unlink(missing_ok=True)


def _file(state: Path, run_id: str) -> Path:
    return state / "runs" / f"{run_id}.lock"


# Between a run's launch and its first asset or op lie seconds; its process must be there by then.
_BEGINS_WITHIN = timedelta(minutes=5)

UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def runs_under_way(
    instance: dg.DagsterInstance,
    state: Path,
    *,
    jobs: Collection[str],
    assets: Collection[str],
    log: Callable[[str], None] = lambda _: None,
) -> list[dg.DagsterRun]:
    """The workspace's runs that are queued or in progress.

    A run whose process was killed together with all that watched it would be in progress for ever,
    and take one of the places of the queue; it is marked as failed here.

    Args:
        instance: Dagster's instance.
        state: The workspace's state folder.
        jobs: Names of the workspace's jobs.
        assets: Names of the graph's assets; a run over some of them counts whatever its job is.
        log: Told of runs that are marked.
    """
    alive, dead = _sort_out(instance, state, jobs, assets)
    for run in dead:
        log(f"run {run.run_id[:8]} is marked as failed: its process is gone")
        instance.report_run_failed(
            run, "The process of this run is gone: it was killed, or the machine went down."
        )
    return alive


def _sort_out(
    instance: dg.DagsterInstance, state: Path, jobs: Collection[str], assets: Collection[str]
) -> tuple[list[dg.DagsterRun], list[dg.DagsterRun]]:
    """The workspace's unfinished runs: those alive, and those dead."""
    keys = {dg.AssetKey(name) for name in assets}
    alive: list[dg.DagsterRun] = []
    dead: list[dg.DagsterRun] = []
    records = instance.get_run_records(filters=dg.RunsFilter(statuses=list(UNDER_WAY)))
    for record in records:
        run = record.dagster_run
        if run.job_name in jobs or keys & set(run.asset_selection or ()):
            is_dead = _is_dead(state, run, record.update_timestamp)
            (dead if is_dead else alive).append(run)
    unfinished = {record.dagster_run.run_id for record in records}
    forget_run_locks(state, but=unfinished - {run.run_id for run in dead})
    return alive, dead


def _is_dead(state: Path, run: dg.DagsterRun, updated: datetime) -> bool:
    if run.status == dg.DagsterRunStatus.QUEUED:
        return False
    holder = find_holder(state, run.run_id)
    if holder == "unknown":
        when = updated if updated.tzinfo else updated.replace(tzinfo=UTC)
        return datetime.now(UTC) - when > _BEGINS_WITHIN
    return holder == "dead"
