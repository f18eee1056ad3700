"""From an asset's settings to what its training has around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from iip_assets.embeddings.device import core_count, resolve_device
from iip_assets.engine.values import Files
from iip_assets.engine.work import Work
from iip_assets.models.tracking import tracked
from iip_assets.models.training import Around, Machine
from iip_assets.settings import ComputeSettings, TrackingSettings, TrainingSettings


def machine_of(compute: ComputeSettings, training: TrainingSettings) -> Machine:
    """The machine that the settings mean."""
    return Machine(
        device=resolve_device(compute.device),
        threads=core_count(compute.threads),
        precision=training.precision,
        processes=training.processes,
        sharing=training.sharing,
    )


def teacher_files(work: Work, asset: str, data_version: str) -> Mapping[str, bytes] | None:
    """The files of the model that a setting names as teacher, if it does.

    Raises:
        LookupError: It is not kept in this workspace.
    """
    if not data_version:
        return None
    try:
        found: Files = work.recorded(asset, data_version)
    except LookupError as error:
        raise LookupError(
            f"the teacher is gone: {error}; register it, or empty the setting"
        ) from None
    return found.parts


@contextmanager
def tracked_training(
    work: Work,
    machine: Machine,
    tracking: TrackingSettings,
    *,
    name: str,
    config: Mapping[str, Any],
) -> Iterator[Around]:
    """What an asset's training has around it: progress, a checkpoint and a run in W&B."""
    with tracked(
        work.state,
        tracking.wandb,
        project=tracking.project,
        name=name,
        run_id=f"{name}-{work.provenance.get('action_key', '')[:12]}",
        config={**config, **work.provenance},
        group=tracking.group or None,
    ) as logger:
        yield Around(machine, work.progress, scratch=work.scratch, logger=logger)
