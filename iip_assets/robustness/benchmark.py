"""What each model says of corrupted images, and its metrics by corruption and severity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image as PillowImage

from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Files, Skipped
from iip_assets.images.decode import decode_image
from iip_assets.images.store import Reader
from iip_assets.inference.filter import FilterFromPixels, scores_table
from iip_assets.inference.segmenter import Segmenter, read_pair
from iip_assets.metrics.functional import mask_confusion
from iip_assets.metrics.intervals import Intervals
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    score,
    scored_filter,
    scored_segmenter,
)
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS
from iip_assets.robustness.corruptions import SEVERITIES, corrupt
from iip_assets.robustness.eye_corruptions import HIDES

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

CLEAN = "clean"
"""Stands for the image as it is, where corruptions are named."""

# Larger images are shrunk first: corruptions are defined at about this size.
_LONGEST_PX = 320

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8] | None]

METRICS = {FILTER.name: ("accuracy", FILTER.headline), SEGMENTER.name: (SEGMENTER.headline,)}
"""What is followed over the severities."""
_SCHEMA = {
    "model": pl.String(),
    "corruption": pl.String(),
    "severity": pl.Int64(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "relative_drop": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
}
_KEY = ("model", "corruption", "metric", "severity")


def variants(
    corruptions: Iterable[str], severities: Sequence[int] = SEVERITIES
) -> dict[str, tuple[int, ...]]:
    """The severities of each corruption, after the clean image, which is one at severity 0."""
    return {name: (0,) if name == CLEAN else (*severities,) for name in (CLEAN, *corruptions)}


def judged_under(model: str, corruptions: Sequence[str]) -> list[str]:
    """The corruptions under which a model's answers still have their truth.

    The filter's label says how much of the iris is seen; a corruption that hides some changes that.
    """
    return [one for one in corruptions if model != FILTER.name or one not in HIDES]


def models_answers(
    models: Mapping[str, Files | Skipped],
    images: pl.DataFrame,
    corruptions: Sequence[str],
    *,
    fill: Callable[..., Filled],
    given: Mapping[str, Any],
    store: Reader,
    threads: int,
    severities: Sequence[int] = SEVERITIES,
) -> dict[str, dict[str, pl.DataFrame]]:
    """What each model that there is says of clean and of corrupted images.

    By the model's name a frame for each of `variants` under which it can be judged, with `image_id`
    and what `corrupted_chunk` gives. Each corruption and model is kept apart: another one asks for
    none of the others again.

    Args:
        models: By name.
        images: `image_id` and `mask_id` or null.
        corruptions: By name.
        fill: `AssetContext.fill`, which keeps the answers.
        given: `seed`, `max_megapixels` and `mask_classes`, as `corrupted_pairs` takes them.
        store: Where images and masks are.
        threads: Of a model.
        severities: Of each corruption.
    """
    found: dict[str, dict[str, pl.DataFrame]] = {}
    asked = images.select("image_id", "mask_id")
    for model, files in models.items():
        if isinstance(files, Skipped):
            continue
        tools: dict[str, Any] = {"store": store, "filter_model": None, "segmenter": None}
        if model == FILTER.name:
            tools["filter_model"] = FilterFromPixels(files.parts, threads=threads)
        else:
            tools["segmenter"] = Segmenter(files.parts, threads=threads)
        found[model] = {}
        for name, those in variants(judged_under(model, corruptions), severities).items():
            # Nothing is drawn for an image as it is.
            how = {**given, "seed": 0 if name == CLEAN else given["seed"]}
            found[model][name] = fill(
                *("robustness", asked, corrupted_chunk),
                given={"corruption": name, "severities": list(those), **how},
                key={"model": files.digest},
                tools=tools,
                chunk=8,
            ).frame.drop("mask_id")
    return found


def baseline_models(
    context: AssetContext, mask_classes: Sequence[str], **data_versions: str
) -> dict[str, Files | Skipped]:
    """The models that settings name as baselines, by the name of the model.

    Raises:
        LookupError: One is not kept in this workspace.
        ValueError: One tells other classes apart than masks do now.
    """
    found: dict[str, Files | Skipped] = {}
    for name, data_version in data_versions.items():
        if data_version:
            mend = f"name another: `iip models baseline`, or empty robustness.baseline_{name}"
            try:
                files: Files = context.recorded(TASKS[name].asset, data_version)
            except LookupError as error:
                raise LookupError(f"the baseline {name} is gone: {error}; {mend}") from None
            classes = json.loads(files.parts["card.json"])["classes"]
            if classes != [*TASKS[name].classes(mask_classes)]:
                apart = ", ".join(classes)
                raise ValueError(f"the baseline {name} tells {apart} apart, masks do not; {mend}")
            found[name] = files
    return found


def corrupted_chunk(
    records: Sequence[dict[str, Any]],
    *,
    filter_model: FilterFromPixels | None,
    segmenter: Segmenter | None,
    **how: Any,
) -> list[dict[str, Any]]:
    """`probabilities` (V, K) and `confusions` (V, K, K) per image, for V severities, as lists.

    Of the corruption "clean" the severity is 0: the image as it is. Pixel counts are those of the
    image, shrunk; they are null without a mask or a segmenter. Records have an `image_id` and a
    `mask_id` or None; what else there is to give is that of `corrupted_pairs`.
    """
    results = []
    for record in records:
        pairs = corrupted_pairs(record, **how)
        results.append(
            {
                "probabilities": _probabilities(filter_model, pairs),
                "confusions": _confusions(segmenter, pairs),
            }
        )
    return results


def corrupted_pairs(
    record: dict[str, Any],
    *,
    corruption: str,
    severities: Sequence[int],
    seed: int,
    max_megapixels: float,
    mask_classes: Sequence[str],
    store: Reader,
) -> list[Pair]:
    """Image and mask of a record, shrunk, at each severity of a corruption; at 0 as they are."""
    image, mask = _shrunk(*_read(record, store, mask_classes, max_megapixels))
    return [
        corrupt(
            *(corruption, image, mask),
            severity=severity,
            image_id=record["image_id"],
            seed=seed,
            mask_classes=mask_classes,
        )
        if severity
        else (image, mask)
        for severity in severities
    ]


def _read(
    record: dict[str, Any], store: Reader, mask_classes: Sequence[str], max_megapixels: float
) -> Pair:
    if record["mask_id"] is None:
        return decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels), None
    return read_pair(store, record, classes=len(mask_classes), max_megapixels=max_megapixels)


def _shrunk(image: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> Pair:
    scale = _LONGEST_PX / max(image.shape[:2])
    if scale >= 1:
        return image, mask
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    # Pillow counts in whole numbers, as corruptions do.
    small = np.asarray(PillowImage.fromarray(image).resize(size, PillowImage.Resampling.BOX))
    if mask is None:
        return small, None
    return small, np.asarray(
        cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8
    )


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
    answers: Mapping[str, Mapping[str, pl.DataFrame]],
    *,
    mask_classes: Sequence[str],
    intervals: Intervals,
) -> pl.DataFrame:
    """One row for each model, corruption, severity and metric, sorted by these.

    Severity 0 is the clean image, told under each corruption; `relative_drop` is what was lost
    of the clean value.

    Args:
        images: `image_id`, `label`, `group_id`.
        answers: Of each model, by its name, as `models_answers` gives them.
        mask_classes: Names of the mask's classes.
        intervals: How they are drawn.
    """
    rows: list[dict[str, object]] = []
    for model, found in answers.items():
        scored = {
            (name, severity): score(said, np.arange(len(said.groups)), intervals)
            for name, frame in found.items()
            for severity, said in scored_answers(
                model, images, frame, variants(found)[name], mask_classes
            )
        }
        if not scored:
            continue
        clean = scored.pop((CLEAN, 0))
        for (name, severity), one in [*(((name, 0), clean) for name in found), *scored.items()]:
            for metric in METRICS[model] if name != CLEAN else ():
                value, before = one.estimates[metric], clean.estimates[metric].value
                lost = None if value.value is None or not before else 1 - value.value / before
                row = {"model": model, "corruption": name, "severity": severity, "metric": metric}
                counts = {"n_images": one.n_images, "n_subjects": one.n_subjects}
                rows.append({**row, **vars(value), "relative_drop": lost, **counts})
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort(_KEY)


def scored_answers(
    model: str,
    images: pl.DataFrame,
    frame: pl.DataFrame,
    severities: Sequence[int],
    mask_classes: Sequence[str],
) -> list[tuple[int, ScoredPredictions]]:
    """What the model said at each severity; nothing where no image has its truth.

    From `image_id`, `label`, `group_id` of the images and the answers of `corrupted_chunk`.
    """
    column = "probabilities" if model == FILTER.name else "confusions"
    known = images.join(frame, on="image_id").filter(pl.col(column).is_not_null()).sort("image_id")
    if model == FILTER.name:
        known = known.filter(pl.col("label").is_not_null())
    if known.is_empty():
        return []
    ids = known["image_id"].to_list()
    truth = known.select("image_id", "group_id", "label")
    answers = np.array(known[column].to_list(), dtype=np.float64)
    answers = answers.reshape(len(ids), len(severities), -1)
    if model == FILTER.name:
        tables = [scores_table(ids, answers[:, place]) for place in range(len(severities))]
        scored = [
            scored_filter(truth.join(one, on="image_id", maintain_order="left")) for one in tables
        ]
    else:
        scored = [
            scored_segmenter(truth.with_columns(confusion=answers[:, place]), mask_classes)
            for place in range(len(severities))
        ]
    return list(zip(severities, scored, strict=True))
