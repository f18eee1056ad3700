"""One model's versions, each asked about the same test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.engine.values import Files, Json, Skipped
from iip_assets.models.tasks import ModelTask
from iip_assets.registry.contenders import (
    common_test_images,
    contenders_of,
    gate_rows,
    history_rows,
)
from iip_assets.registry.gate import Rules
from iip_assets.registry.registry_state import RegistryState
from iip_assets.registry.scoring import Asking, scored_by

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled
    from iip_assets.images.store import ImageStore


@dataclass(frozen=True)
class Images:
    """What versions are asked about.

    Attributes:
        held_out: `image_id`, `split`, `label`, `mask_id`, `group_id` of images held out.
        slices: `image_id`, `axis`, `slice` of the protected axes.
        store: Where the images are.
        max_megapixels: The largest that is decoded.
    """

    held_out: pl.DataFrame
    slices: pl.DataFrame
    store: ImageStore
    max_megapixels: float


@dataclass(frozen=True)
class SideBySide:
    """What came of asking: rows of the history, the gate's tables, and versions left out."""

    history: list[dict[str, Any]]
    gate: list[pl.DataFrame]
    left_out: list[dict[str, Json]]


def compare_model(
    task: ModelTask,
    registry: RegistryState,
    present: Files | Skipped,
    images: Images,
    rules: Rules,
    *,
    classes: Sequence[str],
    fill: Callable[..., Filled],
    threads: int,
    chunk: int,
) -> SideBySide:
    """Asks every version of a model; an image that one was asked about is not shown it again.

    Args:
        task: The model's.
        registry: What is registered.
        present: What the graph holds now.
        images: What to ask about.
        rules: How to judge.
        classes: Names of the mask's classes.
        fill: `AssetContext.fill`.
        threads: On the processor.
        chunk: Images that a killed run may lose.
    """
    everyone = contenders_of(task.name, registry, present)
    left_out: list[dict[str, Json]] = []
    able = []
    for one in everyone:
        known = json.loads(one.files()["card.json"])["classes"]
        wanted = list(task.classes(classes))
        if known == wanted:
            able.append(one)
        else:
            reason = f"it tells {known} apart, now it is {wanted}"
            left_out.append({"model": task.name, "version": one.version, "reason": reason})
    test = common_test_images(task.with_truth(images.held_out), able)
    if test.is_empty() or not able:
        return SideBySide([], [], left_out)
    asking = Asking(images.store, images.max_megapixels, fill, threads, chunk)
    predictions = [scored_by(one, test, asking, classes=classes) for one in able]
    return SideBySide(
        history_rows(able, predictions, rules),
        gate_rows(able, predictions, images.slices, rules),
        left_out,
    )
