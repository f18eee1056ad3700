"""Runs of a workspace's graph and jobs that are queued or in progress, dead ones told from them."""

from __future__ import annotations

from collections.abc import Collection
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
    instance: dg.DagsterInstance, state: Path, *, jobs: Collection[str], assets: Collection[str]
) -> list[dg.DagsterRun]:
    """The workspace's runs that are queued or in progress.

    A run whose process was killed together with all that watched it would be in progress for ever,
    and take one of the places of the queue; it is marked as failed here.

    Args:
        instance: Dagster's instance.
        state: The workspace's state folder.
        jobs: Names of the workspace's jobs.
        assets: Names of the graph's assets; a run over some of them counts whatever its job is.
    """
    keys = {dg.AssetKey(name) for name in assets}
    found = []
    listed = set()
    records = instance.get_run_records(filters=dg.RunsFilter(statuses=list(UNDER_WAY)))
    for record in records:
        run = record.dagster_run
        listed.add(run.run_id)
        if run.job_name not in jobs and not keys & set(run.asset_selection or ()):
            continue
        if _is_dead(state, run, record.update_timestamp):
            instance.report_run_failed(run, "The process of this run is gone: it was killed.")
            listed.remove(run.run_id)
        else:
            found.append(run)
    forget_run_locks(state, but=listed)
    return found


def _is_dead(state: Path, run: dg.DagsterRun, updated: datetime) -> bool:
    if run.status == dg.DagsterRunStatus.QUEUED:
        return False
    holder = find_holder(state, run.run_id)
    if holder == "unknown":
        when = updated if updated.tzinfo else updated.replace(tzinfo=UTC)
        return datetime.now(UTC) - when > _BEGINS_WITHIN
    return holder == "dead"
