"""From an asset's settings to what its training has around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from iip_assets.embeddings.device import core_count, resolve_device
from iip_assets.engine.context import AssetContext
from iip_assets.settings import ComputeSettings, TrackingSettings, TrainingSettings
from iip_assets.training.tracking import tracked
from iip_assets.training.trainer import Around, Machine


def machine_of(compute: ComputeSettings, training: TrainingSettings) -> Machine:
    """The machine that the settings mean."""
    return Machine(
        device=resolve_device(compute.device),
        threads=core_count(compute.threads),
        precision=training.precision,
        processes=training.processes,
        sharing=training.sharing,
    )


@contextmanager
def tracked_training(
    work: AssetContext,
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
        say=work.say,
    ) as logger:
        yield Around(machine, work.progress, scratch=work.scratch, logger=logger, say=work.say)
