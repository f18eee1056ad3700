"""The sensors: each looks at what stands now, decides, and starts or tells something.

They run in the process that serves the code, have a minute, and read no image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from iip_assets.automation import conditions
from iip_assets.automation.alarms import AlarmBox, deliver, sinks_of
from iip_assets.automation.ingest_job import (
    BATCH_TAG,
    FINGERPRINT_TAG,
    INGEST_JOB,
    REJECTED,
    VERDICT_TAG,
    build_ingest_job,
    configured_batch,
    ingest_config,
)
from iip_assets.automation.run_requests import (
    Drop,
    EndedRun,
    IngestRun,
    Marks,
    Outcome,
    decide_ingests,
    decide_refresh,
    due_key,
    refresh_tags,
    runnable,
    world_key,
)
from iip_assets.engine.dagster.graph import REFRESH_JOB
from iip_assets.engine.dagster.instance import DagsterEvents
from iip_assets.engine.dagster.refresh import root_cause
from iip_assets.engine.dagster.runs import UNDER_WAY, runs_under_way
from iip_assets.engine.event_cache import read_cached_events, write_cached_events
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.staleness import State, find_states
from iip_assets.engine.workspace import Workspace
from iip_assets.errors import counted
from iip_assets.ingest.data_commit import git_operation
from iip_assets.ingest.inbox import waiting_batches
from iip_assets.settings import AutomationSettings
from iip_assets.settings_file import SettingsError, read_settings

# Dagster's pages do not show tags that begin so: hashes tell people nothing.
WORLD_TAG = ".dagster/iip_world"
DUE_TAG = ".dagster/iip_due"
# One run that bears it is in progress at a time (dagster.yaml).
_COUNT_TAG = "iip/due"


@dataclass(frozen=True)
class Standing:
    """How every asset stands, and the event log that says so."""

    events: EventLog
    states: dict[str, State]


def look(project: Project, instance: dg.DagsterInstance) -> Standing:
    """Observes the sources, so that Dagster's page knows too, and finds the states."""
    graph, state = project.graph, project.workspace.state
    events: EventLog = read_cached_events(state, graph) or _written(project, instance)
    moved = {
        name: present
        for name, source in graph.sources.items()
        if (present := source.observe(project.workspace.root)) != events.observed(name)
    }
    if moved:
        for name, present in moved.items():
            DagsterEvents(instance).observe(name, present)
        events = _written(project, instance)
    return Standing(events, find_states(project, events))


def _written(project: Project, instance: dg.DagsterInstance) -> EventLog:
    """What the event log says, also kept beside it for the next look."""
    return write_cached_events(project.workspace.state, project.graph, DagsterEvents(instance))


_ENDED = [status for status in dg.DagsterRunStatus if status not in UNDER_WAY]


def build_sensors(project: Project) -> list[dg.SensorDefinition]:
    """All sensors of a project, running unless somebody stops them in the UI."""
    return [
        build(project)
        for build in (_labeled_batch_sensor, _dvc_data_sensor, _alarm_sensor, _failure_sensor)
    ]


def _running(project: Project) -> dict[str, Any]:
    """What all sensors have in common."""
    try:
        settings = read_settings(project.workspace.root).automation
    except SettingsError:
        settings = AutomationSettings()  # each look says what is wrong with the settings
    return {
        "minimum_interval_seconds": settings.interval_s,
        "default_status": dg.DefaultSensorStatus.RUNNING,
    }


def _labeled_batch_sensor(project: Project) -> dg.SensorDefinition:
    workspace = project.workspace

    @dg.sensor(
        name="labeled_batch_sensor",
        job_name=INGEST_JOB,
        **_running(project),
        description="Starts the job `ingest` for each whole batch in inbox/ (one with READY).",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        attempts = read_settings(workspace.root).automation.attempts
        if operation := git_operation(workspace.root):
            return dg.SensorResult(
                skip_reason=f"git is in the middle of {operation}; batches wait until it is over"
            )
        # Runs before batches: what ended in between left the inbox before it is looked into.
        under_way = _under_way(context.instance, project)
        runs = [_ingest_run(run) for run in under_way if run.job_name == INGEST_JOB]
        waiting = _waiting(workspace)
        runs += [run for drop in waiting for run in _ended_ingests(context.instance, drop)]
        decision = decide_ingests(waiting, runs, attempts=attempts)
        for drop in decision.given_up:
            alarm = conditions.broken_ingest(drop.batch, drop.fingerprint, attempts)
            AlarmBox.of(workspace.state).add(alarm)
        names = ", ".join(drop.batch for drop in waiting)
        idle = "no whole batch is in the inbox"
        if names:
            idle = f"nothing to start; in the inbox: {names}"
        return dg.SensorResult(
            [
                dg.RunRequest(
                    run_key=request.run_key,
                    run_config=ingest_config(request.drop.batch),
                    tags={
                        BATCH_TAG: request.drop.batch,
                        FINGERPRINT_TAG: request.drop.fingerprint,
                    },
                )
                for request in decision.requests
            ],
            skip_reason=None if decision.requests else idle,
        )

    return sensor


def _dvc_data_sensor(project: Project) -> dg.SensorDefinition:
    workspace = project.workspace

    @dg.sensor(
        name="dvc_data_sensor",
        job_name=REFRESH_JOB,
        **_running(project),
        description="Observes data.dvc and starts one run over all that is stale.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        attempts = read_settings(workspace.root).automation.attempts
        # Runs before states: what ended in between has left its results.
        under_way = [
            f"run {run.run_id[:8]} of {run.job_name}"
            for run in _under_way(context.instance, project)
        ]
        standing = look(project, context.instance)
        due = runnable(project.graph, standing.states)
        marks = Marks(world_key(project, standing.events), due_key(project, standing.events, due))
        decision = decide_refresh(
            due,
            marks,
            under_way=under_way,
            ended=_ended_refreshes(context.instance, attempts),
            attempts=attempts,
        )
        if decision.stuck:
            AlarmBox.of(workspace.state).add(conditions.stuck_refresh(due, marks.due, attempts))
        if not decision.due:
            return dg.SensorResult(skip_reason=decision.reason)
        tags = refresh_tags(project, standing.events, standing.states, decision.due)
        return dg.SensorResult(
            [
                # No run key: Dagster would not start one for data that is back where it was.
                dg.RunRequest(
                    asset_selection=[dg.AssetKey(name) for name in decision.due],
                    tags={
                        **tags,
                        _COUNT_TAG: counted(len(decision.due), "asset"),
                        WORLD_TAG: marks.world,
                        DUE_TAG: marks.due,
                    },
                )
            ]
        )

    return sensor


def _alarm_sensor(project: Project) -> dg.SensorDefinition:
    workspace = project.workspace

    @dg.sensor(
        name="alarm_sensor",
        **_running(project),
        description="Looks for failed checks, failed assets and rejected batches, and tells the "
        "log and the webhook (alarms.webhook) of what is new.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        settings = read_settings(workspace.root)
        box = AlarmBox.of(workspace.state)
        # What is wrong with the data's pointer must not keep what was found from being sent.
        try:
            standing = look(project, context.instance)
            failed = [name for name, one in standing.states.items() if one.state == "failed"]
            keys = {name: due_key(project, standing.events, [name]) for name in failed}
            found = [
                *conditions.failed_checks(project, standing.events),
                *conditions.failed_assets(standing.states, keys),
                *conditions.rejected_batches(workspace.root / "rejected"),
            ]
            new = sum(box.add(alarm) for alarm in found)
        finally:
            left = deliver(
                box,
                sinks_of(settings.alarms.webhook, log=context.log.warning),
                log=context.log.warning,
            )
        return dg.SkipReason(f"{new} new alarms; {left} wait for delivery")

    return sensor


def _failure_sensor(project: Project) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="run_failure_alarm_sensor",
        **_running(project),
        description="Records each run that failed as an alarm.",
    )
    def sensor(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        if run.tags.get(VERDICT_TAG) == REJECTED:
            return  # the batch has an alarm of its own
        causes = {
            str(event.step_key): root_cause(event.step_failure_data.error)
            for event in context.get_step_failure_events()
        }
        alarm = conditions.failed_run(
            run.run_id, run.job_name, run.tags, context.failure_event.message or "", causes
        )
        AlarmBox.of(project.workspace.state).add(alarm)

    return sensor


def _waiting(workspace: Workspace) -> list[Drop]:
    """The whole batches, but those that Dagster cannot name: one of them would stop all others."""
    found = []
    for batch in waiting_batches(workspace.root):
        if batch.name.isprintable():
            found.append(Drop(batch.name, batch.fingerprint[:16]))  # it is shown as a tag
        else:
            alarm = conditions.unprintable_batch(batch.name, batch.fingerprint)
            AlarmBox.of(workspace.state).add(alarm)
    return found


def _under_way(instance: dg.DagsterInstance, project: Project) -> list[dg.DagsterRun]:
    return runs_under_way(
        instance,
        project.workspace.state,
        jobs=[REFRESH_JOB, INGEST_JOB],
        assets=project.graph.assets,
    )


def _ingest_run(run: dg.DagsterRun) -> IngestRun:
    outcomes: dict[dg.DagsterRunStatus, Outcome] = {
        dg.DagsterRunStatus.SUCCESS: "succeeded",
        dg.DagsterRunStatus.FAILURE: "failed",
        dg.DagsterRunStatus.CANCELED: "canceled",
    }
    # A run that a person started names its batch in its config alone.
    batch = run.tags.get(BATCH_TAG) or configured_batch(run.run_config)
    drop = Drop(batch, run.tags.get(FINGERPRINT_TAG, ""))
    return IngestRun(drop, outcomes.get(run.status, "under way"))


def _ended_ingests(instance: dg.DagsterInstance, drop: Drop) -> list[IngestRun]:
    runs = instance.get_runs(
        dg.RunsFilter(
            job_name=INGEST_JOB,
            statuses=_ENDED,
            tags={BATCH_TAG: drop.batch, FINGERPRINT_TAG: drop.fingerprint},
        )
    )
    return [_ingest_run(run) for run in runs]


def _ended_refreshes(instance: dg.DagsterInstance, most: int) -> list[EndedRun]:
    runs = instance.get_runs(dg.RunsFilter(job_name=REFRESH_JOB, statuses=_ENDED), limit=most)
    return [
        EndedRun(
            Marks(run.tags[WORLD_TAG], run.tags[DUE_TAG]) if WORLD_TAG in run.tags else None,
            canceled=run.status == dg.DagsterRunStatus.CANCELED,
        )
        for run in runs
    ]


def build_automation(project: Project) -> dg.Definitions:
    """The job `ingest` and the sensors of a project's workspace."""
    return dg.Definitions(jobs=[build_ingest_job(project)], sensors=build_sensors(project))
