"""One model's versions, each asked about the same test pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.engine.values import Files, Json, Skipped
from iip_assets.models.filter_pixels import FilterFromPixels, score_chunk
from iip_assets.models.judged import Judged
from iip_assets.models.predict import network_scores
from iip_assets.models.segment_rows import segment_chunk
from iip_assets.models.segmentation import Segmenter
from iip_assets.models.words import FILTER_CLASSES
from iip_assets.release.contenders import (
    Contender,
    common_test_pictures,
    contenders_of,
    gate_rows,
    history_rows,
    judged_filter,
    judged_segmenter,
)
from iip_assets.release.gate import Rules
from iip_assets.release.registry_state import RegistryState

if TYPE_CHECKING:
    from iip_assets.dataset.store import ImageStore
    from iip_assets.engine.features import Filled


@dataclass(frozen=True)
class Pictures:
    """What versions are asked about.

    Attributes:
        held_out: `image_id`, `split`, `label`, `mask_id`, `group_id` of pictures held out.
        slices: `image_id`, `axis`, `slice` of the protected axes.
        store: Where the pictures are.
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
    model: str,
    registry: RegistryState,
    present: Files | Skipped,
    pictures: Pictures,
    rules: Rules,
    *,
    classes: Sequence[str],
    fill: Callable[..., Filled],
    threads: int,
    chunk: int,
) -> SideBySide:
    """Asks every version of a model; a picture that one was asked about is not shown it again.

    Args:
        model: `filter` or `segmenter`.
        registry: What is registered.
        present: What the graph holds now.
        pictures: What to ask about.
        rules: How to judge.
        classes: Names of the mask's classes.
        fill: `Work.fill`.
        threads: On the processor.
        chunk: Pictures that a killed run may lose.
    """
    everyone = contenders_of(model, registry, present)
    left_out: list[dict[str, Json]] = []
    able = []
    for one in everyone:
        known = json.loads(one.files()["card.json"])["classes"]
        wanted = list(FILTER_CLASSES if model == "filter" else classes)
        if known == wanted:
            able.append(one)
        else:
            why = f"it tells {known} apart, now it is {wanted}"
            left_out.append({"model": model, "version": one.version, "why": why})
    known_truth = (
        pl.col("label").is_in(FILTER_CLASSES)
        if model == "filter"
        else pl.col("mask_id").is_not_null()
    )
    test = common_test_pictures(pictures.held_out.filter(known_truth), able)
    if test.is_empty() or not able:
        return SideBySide([], [], left_out)
    names = ["image_id"] if model == "filter" else ["image_id", "mask_id"]
    pictures.store.fetch([one for name in names for one in test[name]])
    ask = _ask_filter if model == "filter" else _ask_segmenter
    judged = [
        ask(one, test, pictures, classes=classes, fill=fill, threads=threads, chunk=chunk)
        for one in able
    ]
    return SideBySide(
        history_rows(able, judged, rules),
        gate_rows(able, judged, pictures.slices, rules),
        left_out,
    )


def _ask_filter(
    one: Contender,
    test: pl.DataFrame,
    pictures: Pictures,
    *,
    classes: Sequence[str],
    fill: Callable[..., Filled],
    threads: int,
    chunk: int,
) -> Judged:
    del classes
    filled = fill(
        "filter_scores",
        test.select("image_id"),
        score_chunk,
        given={"model": one.digest, "max_megapixels": pictures.max_megapixels},
        tools={
            "filter_model": FilterFromPixels(one.files(), threads=threads),
            "store": pictures.store,
        },
        chunk=chunk,
    )
    return judged_filter(test, network_scores(filled.frame))


def _ask_segmenter(
    one: Contender,
    test: pl.DataFrame,
    pictures: Pictures,
    *,
    classes: Sequence[str],
    fill: Callable[..., Filled],
    threads: int,
    chunk: int,
) -> Judged:
    filled = fill(
        "segmentations",
        test.select("image_id", "mask_id"),
        segment_chunk,
        given={"model": one.digest, "max_megapixels": pictures.max_megapixels},
        tools={
            "segmenter": Segmenter(one.files(), threads=threads),
            "store": pictures.store,
            "threads": threads,
        },
        chunk=chunk,
    )
    return judged_segmenter(test, filled.frame, classes)
