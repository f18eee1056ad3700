"""Runs in Dagster's log whose process is gone: a kill leaves them "started" for ever.

Each run holds a file lock, which the system frees when its process dies: whoever can take it knows
that nobody is at work on that run any more, whatever the clock or a process number says.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
from filelock import FileLock, Timeout

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Held until the process ends; a lock that nobody refers to is released.
_held: dict[Path, FileLock] = {}


def hold_run(state: Path, run_id: str) -> None:
    """Shows, for as long as this process lives, that the run is being worked on."""
    file = _lock_file(state, run_id)
    if file not in _held:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file, thread_local=False)
        lock.acquire()
        _held[file] = lock


def end_dead_runs(
    state: Path, instance: dg.DagsterInstance, *, say: Callable[[str], None]
) -> list[str]:
    """Marks runs as failed whose process is gone, and gives their ids.

    A run that never showed itself by `hold_run` is left alone. Only ever under the workspace's
    lock, so that no two look at once.
    """
    unfinished = {
        record.dagster_run.run_id: record.dagster_run
        for record in instance.get_run_records(dg.RunsFilter(statuses=_UNFINISHED))
    }
    ended = []
    for file in sorted((state / "runs").glob("*.lock")):
        if file in _held or not _is_free(file):
            continue
        run = unfinished.get(file.stem)
        if run is not None:
            say(f"run {run.run_id} is marked as failed: its process is gone")
            instance.report_run_failed(
                run, "The process of this run is gone: it was killed, or the machine went down."
            )
            ended.append(run.run_id)
        file.unlink(missing_ok=True)
    return ended


def _is_free(file: Path) -> bool:
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _lock_file(state: Path, run_id: str) -> Path:
    return state / "runs" / f"{run_id}.lock"
