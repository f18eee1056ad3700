"""How good the models are on test images: overall, by slice, beside a baseline and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.evaluation.baselines import class_shares
from iip_assets.labels.human_level import judge_labelers
from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.metrics.functional import confusion
from iip_assets.metrics.scored_predictions import (
    Passing,
    ScoredPredictions,
    by_slice,
    judge_filter,
)
from iip_assets.metrics.scores import Gate
from iip_assets.models.answers import class_places, passing_of, scored_filter, scored_segmenter
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS, ModelTask
from iip_assets.settings import ThresholdSettings

ENOUGH_SUBJECTS = 20
"""From this many subjects on, a model beats the baseline only if its whole interval does.

The percentile bootstrap over fewer groups is too narrow to trust and too coarse to decide by.
"""

METRICS_SCHEMA = {
    "model": pl.String(),
    "metric": pl.String(),
    "axis": pl.String(),
    "slice": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
    "enough": pl.Boolean(),
}
_CONFUSION = {
    "model": pl.String(),
    "actual": pl.String(),
    "predicted": pl.String(),
    "n": pl.Int64(),
}


@dataclass(frozen=True)
class Judgement:
    """How intervals are made and which slices are large enough to judge."""

    resamples: int
    confidence: float
    min_slice_images: int
    seed: int


def gate_of(settings: ThresholdSettings) -> Gate:
    """What the filter should let pass, by the settings."""
    return Gate(settings.usable, settings.lost_iris_cost, settings.failed_segmentation_cost)


@dataclass(frozen=True)
class Verdict:
    """Whether a model beats its baseline.

    Attributes:
        beats: Whether it does; also where there is no such model, which breaks no promise.
        reason: The numbers, in words.
    """

    beats: bool
    reason: str


def evaluate(
    predictions: pl.DataFrame,
    train_labels: Sequence[str],
    groups: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    mask_classes: Sequence[str],
    judgement: Judgement,
    gate: Gate,
    agreement: Mapping[str, pl.DataFrame] | None = None,
) -> dict[str, pl.DataFrame]:
    """The tables `metrics` and `confusion`, of the test images.

    Args:
        predictions: The table of predictions; only its test images are looked at.
        train_labels: Labels of the training images, from which the filter's baseline comes.
        groups: `image_id`, `group_id`.
        slices: `image_id`, `axis`, `slice`.
        mask_classes: Names of the mask's classes.
        judgement: How to judge.
        gate: What the filter should let pass.
        agreement: The tables of labeler_agreement; None where nobody asked several labelers.
    """
    test = predictions.filter(pl.col("split") == "test").join(groups, on="image_id")
    test = test.sort("image_id")
    metrics, counts = [], []
    everyone = _judged(test, train_labels, mask_classes, gate)
    if agreement is not None:
        everyone |= judge_labelers(agreement, test, mask_classes=mask_classes, gate=gate)
    for model, judged in everyone.items():
        metrics += metric_rows(model, judged, slices, judgement)
    counts += _filter_confusion(test)
    counts += _segmenter_confusion(test, mask_classes)
    return {
        "metrics": pl.DataFrame(metrics, schema=METRICS_SCHEMA, orient="row"),
        "confusion": pl.DataFrame(counts, schema=_CONFUSION, orient="row"),
    }


def headline(metrics: pl.DataFrame, model: str) -> dict[str, float | int | None] | None:
    """The headline metric on all test images of a model, or of who is judged beside it.

    None if it was not judged.
    """
    metric = TASKS[model.partition("_")[0]].headline
    found = metrics.filter(
        (pl.col("model") == model) & (pl.col("metric") == metric) & (pl.col("axis") == "overall")
    )
    return dict(found.row(0, named=True)) if found.height else None


def beats_baseline(metrics: pl.DataFrame, task: ModelTask) -> Verdict:
    """Whether the model's headline metric is above the baseline's value on the test images.

    The lower end of the interval counts where there are `ENOUGH_SUBJECTS`, else the value alone.
    """
    own, baseline = headline(metrics, task.name), headline(metrics, f"{task.name}_baseline")
    if own is None or baseline is None or own["value"] is None:
        return Verdict(beats=True, reason=f"there is no {task.name} to judge on the test images")
    many = (own["n_subjects"] or 0) >= ENOUGH_SUBJECTS and own["low"] is not None
    counted = own["low"] if many else own["value"]
    bar = baseline["value"] or 0.0
    interval = f" ({own['low']:.3f} to {own['high']:.3f})" if own["low"] is not None else ""
    return Verdict(
        beats=counted is not None and counted > bar,
        reason=f"{task.headline} {own['value']:.3f}{interval} against {bar:.3f} "
        f"without looking, on {own['n_images']} images of {own['n_subjects']} subjects"
        + ("" if many else f"; fewer than {ENOUGH_SUBJECTS} subjects, so the value alone decides"),
    )


def _judged(
    test: pl.DataFrame, train_labels: Sequence[str], mask_classes: Sequence[str], gate: Gate
) -> dict[str, ScoredPredictions]:
    """The models that said something about test images of known truth, and their baselines."""
    judged: dict[str, ScoredPredictions] = {}
    named = _answered(FILTER, test)
    if named.height:
        blind = np.tile(class_shares(train_labels, FILTER_CLASSES), (named.height, 1))
        judged[FILTER.name] = scored_filter(named, passing=passing_of(named, gate))
        judged[f"{FILTER.name}_baseline"] = judge_filter(
            named["image_id"].to_list(),
            named["group_id"].to_list(),
            class_places(named["label"]),
            blind,
            FILTER_CLASSES,
            passing=_blind_passing(blind, gate),
        )
    masked = test.filter(pl.col("confusion").is_not_null())
    if masked.height:
        judged[SEGMENTER.name] = scored_segmenter(masked, mask_classes, boundary="boundary")
        judged[f"{SEGMENTER.name}_baseline"] = scored_segmenter(
            masked, mask_classes, confusion="confusion_baseline"
        )
    return judged


def _blind_passing(shares: NDArray[np.float64], gate: Gate) -> Passing:
    """What a filter lets pass that never looks: all images or none, whichever costs less."""
    usable = shares[:, [FILTER_CLASSES.index(name) for name in gate.usable]].sum(1)
    lets_pass = usable * gate.lost_iris >= (1 - usable) * gate.failed_segmentation
    return Passing(usable, lets_pass, gate)


def metric_rows(
    model: str, judged: ScoredPredictions, slices: pl.DataFrame, judgement: Judgement
) -> list[tuple[object, ...]]:
    """Rows of `METRICS_SCHEMA`: every metric on all of the images, then on each slice.

    Args:
        model: What the rows call the model.
        judged: Its word on the images.
        slices: `image_id`, `axis`, `slice`.
        judgement: How to judge.
    """
    rows: list[tuple[object, ...]] = []
    for axis, name, scored in by_slice(
        judged,
        slices,
        resamples=judgement.resamples,
        confidence=judgement.confidence,
        seed=judgement.seed,
    ):
        enough = scored.n_images >= judgement.min_slice_images
        rows += [
            (
                *(model, metric, axis, name),
                *(one.value, one.low, one.high),
                *(scored.n_images, scored.n_subjects, enough),
            )
            for metric, one in scored.estimates.items()
        ]
    return rows


def _filter_confusion(test: pl.DataFrame) -> list[tuple[str, str, str, int]]:
    named = _answered(FILTER, test)
    if named.is_empty():
        return []
    size = len(FILTER_CLASSES)
    ones = np.ones((1, named.height))
    counts = confusion(class_places(named["label"]), class_places(named["predicted"]), size, ones)[
        0
    ]
    return _cells(FILTER.name, counts, FILTER_CLASSES)


def _segmenter_confusion(
    test: pl.DataFrame, classes: Sequence[str]
) -> list[tuple[str, str, str, int]]:
    masked = test.filter(pl.col("confusion").is_not_null())
    if masked.is_empty():
        return []
    counts = np.array(masked["confusion"].to_list(), dtype=np.int64).sum(0)
    return _cells(SEGMENTER.name, counts.reshape(len(classes), len(classes)), classes)


def _cells(
    model: str, counts: np.ndarray, classes: Sequence[str]
) -> list[tuple[str, str, str, int]]:
    return [
        (model, actual, predicted, int(counts[row, column]))
        for row, actual in enumerate(classes)
        for column, predicted in enumerate(classes)
    ]


def _answered(task: ModelTask, test: pl.DataFrame) -> pl.DataFrame:
    """Images of known truth of which the model said something."""
    return task.with_truth(test).filter(pl.col(task.answer).is_not_null())
