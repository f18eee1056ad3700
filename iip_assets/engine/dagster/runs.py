"""Runs of a workspace's graph and jobs that are queued or in progress, dead ones told from them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from iip_assets.engine.run_lock import find_holder, forget_run_locks

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
