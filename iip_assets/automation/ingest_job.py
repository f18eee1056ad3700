"""The job `ingest`: takes one batch from the inbox, or sends it back."""

# Dagster reads the annotations of an op's parameters, so they are not postponed here.
from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from iip_assets.automation.alarms import AlarmBox
from iip_assets.automation.conditions import rejected_batch
from iip_assets.dataset.problems import Problem
from iip_assets.engine.dagster.runs import hold_run_lock
from iip_assets.engine.project import Project
from iip_assets.errors import counted
from iip_assets.ingest.inbox import ERROR_COLUMNS, waiting_batches

INGEST_JOB = "ingest"
INGEST_OP = "take_batch"
BATCH_TAG = "iip/batch"
FINGERPRINT_TAG = ".dagster/iip_fingerprint"  # shown on no page of Dagster
VERDICT_TAG = "iip/verdict"
REJECTED = "rejected"

_ROWS_SHOWN = 100


class BatchConfig(dg.Config):
    """Which batch: the name of its folder in inbox/."""

    batch: str


def ingest_config(batch: str) -> dict[str, Any]:
    """The run config that names a batch."""
    return {"ops": {INGEST_OP: {"config": {"batch": batch}}}}


def configured_batch(run_config: Mapping[str, Any]) -> str:
    """The batch that a run config names; empty where it names none."""
    try:
        return str(run_config["ops"][INGEST_OP]["config"]["batch"])
    except (KeyError, TypeError):
        return ""


def build_ingest_job(project: Project) -> dg.JobDefinition:
    """The job for a project's workspace."""
    workspace = project.workspace

    @dg.op(
        name=INGEST_OP,
        out=dg.Out(dg.Nothing),
        description="Takes one whole batch from inbox/ into DVC, or moves it to rejected/.",
    )
    def take_batch(context: dg.OpExecutionContext, config: BatchConfig) -> None:
        from iip_assets.ingest.ingest import ingest_folder

        hold_run_lock(workspace.state, context.run_id)
        # The name is typed by a person or comes from a tag: only what the inbox lists is opened.
        found = [one for one in waiting_batches(workspace.root) if one.name == config.batch]
        if not found:
            context.log.info(f"no whole batch {config.batch!r} waits in inbox/ (any more)")
            return
        done = ingest_folder(workspace.root, found[0].folder, log=context.log.info)
        if done.rejected_to and (alarm := rejected_batch(done.rejected_to, done.problems)):
            AlarmBox.of(workspace.state).add(alarm)
        for problem in done.problems[:_ROWS_SHOWN]:
            context.log.warning(f"{problem.words}; {problem.fix}")
        context.log.info(f"{done.batch}: {done.verdict}, {done.words}")
        context.instance.add_run_tags(context.run_id, {VERDICT_TAG: done.verdict})
        metadata: dict[str, Any] = {
            "verdict": done.verdict,
            "holds": done.words,
            "images": done.images,
            "new_images": done.new_images,
            "known_images": len(done.known),
            "data_version": done.data_version or "unchanged",
            "commit": done.commit or "none",
            **({"problems": _table(done.problems)} if done.problems else {}),
        }
        if done.verdict == REJECTED:
            # Not a green run: nothing of the batch is in the data. Tried again it is the same.
            words = counted(len(done.problems), "error")
            place = (
                f"rejected/{done.rejected_to.name}/errors.csv" if done.rejected_to else "the log"
            )
            raise dg.Failure(
                f"the batch {done.batch} is rejected: {words}; {place} tells what to fix",
                metadata=metadata,
                allow_retries=False,
            )
        context.add_output_metadata(metadata)

    @dg.job(
        name=INGEST_JOB,
        executor_def=dg.in_process_executor,
        description="Takes one whole batch from inbox/ into DVC; what is due then is computed by "
        "itself.",
    )
    def ingest() -> None:
        take_batch()

    return ingest


def _table(problems: Iterable[Problem]) -> dg.TableMetadataValue:
    records = [
        dg.TableRecord({name: getattr(one, name) for name in ERROR_COLUMNS})
        for one in list(problems)[:_ROWS_SHOWN]
    ]
    columns = [dg.TableColumn(name, "int" if name == "row" else "string") for name in ERROR_COLUMNS]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))
