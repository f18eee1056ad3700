"""What calls for an alarm, read from what stands now, so that nothing is missed by coming late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.automation.alarms import Alarm, make_alarm
from iip_assets.engine.outcomes import check_results
from iip_assets.engine.reasons import in_words

if TYPE_CHECKING:
    from iip_assets.dataset.problems import Problem
    from iip_assets.engine.project import EventLog, Project
    from iip_assets.engine.staleness import State

_PROBLEMS_NAMED = 8


def failed_checks(project: Project, events: EventLog) -> Iterator[Alarm]:
    """An alarm for each failed check of the present values; the same value, the same alarm."""
    for name, asset in project.graph.assets.items():
        record = project.record(name, events)
        for check in check_results(asset, project.parts(name, events)) if record else ():
            if check["passed"] is not False or record is None:
                continue
            text = f"the check {check['name']} of {name} failed"
            if check["description"]:
                text += f": {check['description']}"
            yield make_alarm(
                "check_failed",
                f"{name}.{check['name']}",
                text,
                version=record.data_version,
                details={
                    "severity": check["severity"],
                    "data_version": record.data_version,
                    "git_commit": record.git_commit,
                },
            )


def failed_assets(states: Mapping[str, State], action_keys: Mapping[str, str]) -> Iterator[Alarm]:
    """An alarm for each asset that failed with its present action key: code, settings, inputs."""
    for name, key in action_keys.items():
        error = "; ".join(in_words(states[name].reasons))
        yield make_alarm(
            "asset_failure",
            name,
            f"{name} failed: {error}. It runs again when its code, settings or data change, or by "
            f"`iip refresh {name}`",
            version=key,
            details={"action_key": key},
        )


def rejected_batches(rejected: Path) -> Iterator[Alarm]:
    """An alarm for each batch that was sent back, from the folder of rejected ones."""
    for errors in sorted(rejected.glob("*/errors.csv")):
        if alarm := rejected_batch(errors.parent):
            yield alarm


def rejected_batch(folder: Path, problems: Iterable[Problem] = ()) -> Alarm | None:
    """The alarm of the rejected batch in a folder; None where its errors.csv is gone.

    Problems are named where they are at hand. What stood in the cells is left out: it is people's
    data, and stands in errors.csv.
    """
    try:
        written = (folder / "errors.csv").stat()
    except OSError:
        return None
    details: dict[str, object] = {"errors": f"rejected/{folder.name}/errors.csv"}
    for number, problem in enumerate(list(problems)[:_PROBLEMS_NAMED], start=1):
        details[f"problem_{number}"] = problem.words
    return make_alarm(
        "batch_rejected",
        folder.name,
        f"the batch {folder.name} was rejected; nothing of it was taken. "
        f"rejected/{folder.name}/errors.csv tells what to fix; then drop it again",
        # Dropped and rejected again, it is another time, and another alarm.
        version=str(written.st_mtime_ns),
        details=details,
    )


def broken_ingest(batch: str, fingerprint: str, attempts: int) -> Alarm:
    """The alarm of a batch that was tried as often as allowed and still waits."""
    return make_alarm(
        "ingest_broken",
        batch,
        f"the batch {batch} was tried {attempts} times and still lies in inbox/. The runs of the "
        "job `ingest` tell why; when that is fixed, drop it again or run "
        f"`iip ingest inbox/{batch}`",
        version=fingerprint,
        details={"attempts": attempts},
    )


def unprintable_batch(batch: str, fingerprint: str) -> Alarm:
    """The alarm of a batch whose name no run can carry."""
    return make_alarm(
        "ingest_broken",
        batch,
        f"the folder {batch!r} in inbox/ is left there: its name has letters that cannot be "
        "printed; rename it to letters, digits, `-` and `_`",
        version=fingerprint,
    )


def stuck_refresh(names: Iterable[str], key: str, attempts: int) -> Alarm:
    """The alarm of assets that are still due after as many runs as are tried."""
    due = ", ".join(names)
    return make_alarm(
        "run_failure",
        "refresh",
        f"after {attempts} runs the same is still due: {due}. If the code was edited while "
        "Dagster runs, reload the code location; else see the runs, then `iip refresh`",
        version=key,
        details={"attempts": attempts},
    )


def failed_run(
    run_id: str, job: str, tags: Mapping[str, str], message: str, causes: Mapping[str, str]
) -> Alarm:
    """The alarm of a run of a job that failed, with the error of each step or Dagster's message."""
    words = "; ".join(f"{step}: {error}" for step, error in causes.items()) or message
    return make_alarm(
        "run_failure",
        run_id,
        f"run {run_id[:8]} of {job} failed: {words}",
        version=run_id,
        details={
            "job": job,
            **{name: value for name, value in tags.items() if name.startswith("iip/")},
            **{f"step {step}": error for step, error in causes.items()},
        },
    )
