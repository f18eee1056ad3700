"""From an asset's settings to the machine that its training runs on."""

from __future__ import annotations

from iip_assets.embeddings.device import core_count, resolve_device
from iip_assets.settings import ComputeSettings, TrainingSettings
from iip_assets.training.trainer import Machine


def machine_of(compute: ComputeSettings, training: TrainingSettings) -> Machine:
    """The machine that the settings mean."""
    return Machine(
        device=resolve_device(compute.device),
        threads=core_count(compute.threads),
        precision=training.precision,
        processes=training.processes,
        sharing=training.sharing,
    )
