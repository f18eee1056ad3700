"""The robustness table: each model's metrics by corruption, severity and group."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.decode import decode_image
from iip_assets.images.store import Reader
from iip_assets.inference.filter import FilterFromPixels, scores_table
from iip_assets.inference.segmenter import Segmenter, read_pair
from iip_assets.metrics.functional import mask_confusion
from iip_assets.metrics.intervals import Intervals
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import (
    Scored,
    ScoredPredictions,
    by_slice,
    scored_filter,
    scored_segmenter,
)
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.robustness.corruptions import SEVERITIES, corrupt

# Larger images are shrunk first: corruptions are defined at about this size.
_LONGEST_PX = 320

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]

METRICS = {FILTER.name: ("accuracy", FILTER.headline), SEGMENTER.name: (SEGMENTER.headline,)}
"""What is followed over the severities."""
_SCHEMA = {
    "model": pl.String(),
    "corruption": pl.String(),
    "severity": pl.Int64(),
    "axis": pl.String(),
    "slice": pl.String(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "relative_drop": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
}
_KEY = ("model", "corruption", "axis", "slice", "metric", "severity")


def variants(corruptions: Sequence[str]) -> list[tuple[str, int]]:
    """Corruption and severity in the order of a record's results; clean comes first."""
    return [("clean", 0), *((name, severity) for name in corruptions for severity in SEVERITIES)]


def corrupted_chunk(
    records: Sequence[dict[str, Any]],
    *,
    corruptions: Sequence[str],
    seed: int,
    max_megapixels: float,
    filter_model: FilterFromPixels | None,
    segmenter: Segmenter | None,
    store: Reader,
) -> list[dict[str, Any]]:
    """`probabilities` (V, K) and `confusions` (V, K, K) per image, for the V `variants`, as lists.

    Pixel counts are those of the image, shrunk; they are null without a mask or a segmenter.
    Records have an `image_id` and a `mask_id` or None.
    """
    results = []
    for record in records:
        image, mask = _shrunk(*_read(record, store, segmenter, max_megapixels))
        pairs = list(_corrupted(image, mask, record["image_id"], corruptions, seed))
        results.append(
            {
                "probabilities": _probabilities(filter_model, pairs),
                "confusions": _confusions(segmenter, pairs),
            }
        )
    return results


def _read(
    record: dict[str, Any], store: Reader, segmenter: Segmenter | None, max_megapixels: float
) -> Pair:
    if record["mask_id"] is None or segmenter is None:
        return decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels), None
    classes = len(segmenter.classes)
    return read_pair(store, record, classes=classes, max_megapixels=max_megapixels)


def _shrunk(image: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> Pair:
    scale = _LONGEST_PX / max(image.shape[:2])
    if scale >= 1:
        return image, mask
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    if mask is None:
        return small, None
    return small, np.asarray(
        cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )


def _corrupted(
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8] | None,
    image_id: str,
    corruptions: Sequence[str],
    seed: int,
) -> Iterator[Pair]:
    for name, severity in variants(corruptions):
        if severity == 0:
            yield image, mask
        else:
            yield corrupt(name, image, mask, severity=severity, image_id=image_id, seed=seed)


def _probabilities(model: FilterFromPixels | None, pairs: Sequence[Pair]) -> list[float] | None:
    if model is None:
        return None
    found: list[float] = model.probabilities([image for image, _ in pairs]).ravel().tolist()
    return found


def _confusions(model: Segmenter | None, pairs: Sequence[Pair]) -> list[int] | None:
    if model is None or pairs[0][1] is None:
        return None
    found = model.segment([image for image, _ in pairs])
    size = len(model.classes)
    return [
        int(count)
        for (_, mask), predicted in zip(pairs, found, strict=True)
        if mask is not None
        for count in mask_confusion(mask, predicted, size).ravel()
    ]


def benchmark_images(test: pl.DataFrame, *, most: int, seed: int) -> pl.DataFrame:
    """`image_id`, `mask_id`, `label`, `group_id` of at most so many of these images.

    Images with both a label and a mask come first; among equals a salted hash decides, so that
    a new batch moves few of them.
    """
    usable = pl.col("label").is_in(FILTER_CLASSES).fill_null(value=False)
    known = pl.col("label").is_not_null().cast(pl.Int8) + pl.col("mask_id").is_not_null()
    order = [hashlib.sha256(f"{seed}:{one}".encode()).hexdigest() for one in test["image_id"]]
    return (
        test.with_columns(label=pl.when(usable).then("label"))
        .with_columns(known=known, order=pl.Series(order, dtype=pl.String))
        .filter(pl.col("known") > 0)
        .sort(["known", "order"], descending=[True, False])
        .head(most)
        .select("image_id", "mask_id", "label", "group_id")
        .sort("image_id")
    )


def benchmark_table(
    images: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    corruptions: Sequence[str],
    mask_classes: Sequence[str],
    intervals: Intervals,
) -> pl.DataFrame:
    """One row for each model, corruption, severity, slice and metric, sorted by these.

    Severity 0 is the clean image, told under each corruption; `relative_drop` is what was lost
    of the clean value.

    Args:
        images: `image_id`, `label`, `group_id`, and `probabilities` and `confusions` as
            `corrupted_chunk` gives them.
        slices: `image_id`, `axis`, `slice`.
        corruptions: Names, as given to `corrupted_chunk`.
        mask_classes: Names of the mask's classes.
        intervals: How they are drawn.
    """
    rows: list[tuple[object, ...]] = []
    order = variants(corruptions)
    for model in METRICS:
        scored = [
            by_slice(predictions, slices, intervals)
            for predictions in _predictions(model, images, len(order), mask_classes)
        ]
        if not scored:
            continue
        clean = {(axis, name): one for axis, name, one in scored[0]}
        places = [(place, *variant) for place, variant in enumerate(order[1:], start=1)]
        places += [(0, name, 0) for name in corruptions]
        for place, corruption, severity in places:
            for axis, name, one in scored[place]:
                rows += [
                    (model, corruption, severity, axis, name, metric, *numbers)
                    for metric, numbers in _numbers(model, one, clean[axis, name])
                ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort(_KEY)


def _numbers(
    model: str, scored: Scored, clean: Scored
) -> list[tuple[str, tuple[float | int | None, ...]]]:
    numbers: list[tuple[str, tuple[float | int | None, ...]]] = []
    for metric in METRICS[model]:
        one, before = scored.estimates[metric], clean.estimates[metric].value
        drop = None if one.value is None or not before else 1 - one.value / before
        numbers.append(
            (metric, (one.value, one.low, one.high, drop, scored.n_images, scored.n_subjects))
        )
    return numbers


def _predictions(
    model: str, images: pl.DataFrame, count: int, mask_classes: Sequence[str]
) -> list[ScoredPredictions]:
    """What the model said under each variant; nothing where there is no such model or truth."""
    column = "probabilities" if model == FILTER.name else "confusions"
    known = images.filter(pl.col(column).is_not_null())
    if model == FILTER.name:
        known = known.filter(pl.col("label").is_not_null())
    if known.is_empty():
        return []
    ids = known["image_id"].to_list()
    truth = known.select("image_id", "group_id", "label")
    answers = np.array(known[column].to_list(), dtype=np.float64).reshape(len(ids), count, -1)
    if model == FILTER.name:
        return [
            scored_filter(
                truth.join(
                    scores_table(ids, answers[:, variant]), on="image_id", maintain_order="left"
                )
            )
            for variant in range(count)
        ]
    return [
        scored_segmenter(truth.with_columns(confusion=answers[:, variant]), mask_classes)
        for variant in range(count)
    ]
