"""One model's versions, each asked about the same test images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.engine.values import Files, Json, Skipped
from iip_assets.inference.filter import FilterFromPixels, network_scores, score_chunk
from iip_assets.inference.segmenter import Segmenter, segment_chunk
from iip_assets.metrics.scored_predictions import ScoredPredictions, scored_filter, scored_segmenter
from iip_assets.models.tasks import FILTER, TASKS, ModelTask
from iip_assets.registry.contenders import (
    Contender,
    common_test_images,
    contenders_of,
    gate_rows,
    history_rows,
)
from iip_assets.registry.gate import Rules
from iip_assets.registry.registry_state import RegistryState

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled
    from iip_assets.images.store import ImageStore


@dataclass(frozen=True)
class Asking:
    """How images are shown to versions.

    Attributes:
        store: Where images and masks are, fetched.
        max_megapixels: The largest that is decoded.
        fill: `AssetContext.fill`.
        threads: On the processor.
        chunk: Images that a killed run may lose.
    """

    store: ImageStore
    max_megapixels: float
    fill: Callable[..., Filled]
    threads: int
    chunk: int


def scored_by(
    one: Contender, images: pl.DataFrame, asking: Asking, *, classes: Sequence[str]
) -> ScoredPredictions:
    """A version's answers on images of known truth, from the pixels.

    Args:
        one: The version.
        images: `image_id`, `group_id`, and `label` or `mask_id`.
        asking: How.
        classes: Names of the masks' classes.
    """
    asking.store.fetch([one for name in TASKS[one.model].reads for one in images[name]])
    if one.model == FILTER.name:
        return scored_filter(with_scores(images, filter_scores(one, images, asking)))
    found = segmentations(one, images, asking).select("image_id", "confusion")
    return scored_segmenter(images.join(found, on="image_id", maintain_order="left"), classes)


def with_scores(images: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """The images with the filter's `prob_<class>` beside them."""
    return images.join(scores, on="image_id", maintain_order="left")


def filter_scores(one: Contender, images: pl.DataFrame, asking: Asking) -> pl.DataFrame:
    """`image_id` and `prob_<class>` that a version of the filter gives, from the pixels.

    Args:
        one: The version.
        images: `image_id`.
        asking: How.
    """
    filled = asking.fill(
        "filter_scores",
        images.select("image_id"),
        score_chunk,
        given={"max_megapixels": asking.max_megapixels},
        key={"model": one.digest},
        tools={
            "filter_model": FilterFromPixels(one.files(), threads=asking.threads),
            "store": asking.store,
        },
        chunk=asking.chunk,
    )
    return network_scores(filled.frame)


def segmentations(one: Contender, images: pl.DataFrame, asking: Asking) -> pl.DataFrame:
    """`image_id`, `mask_id` and what `segment_chunk` gives, of a version of the segmenter.

    Args:
        one: The version.
        images: `image_id`, `mask_id`.
        asking: How.
    """
    filled = asking.fill(
        "segmentations",
        images.select("image_id", "mask_id"),
        segment_chunk,
        given={"max_megapixels": asking.max_megapixels},
        key={"model": one.digest},
        tools={
            "segmenter": Segmenter(one.files(), threads=asking.threads),
            "store": asking.store,
            "threads": asking.threads,
        },
        chunk=asking.chunk,
    )
    return filled.frame


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
