"""How good the models are on held-out images: overall, by slice, beside a baseline and people.

Best epochs were chosen on the validation images: whoever changes settings looks at these, and
leaves the test images for the last judgement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.labels.human_level import scored_labelers
from iip_assets.metrics.functional import confusion
from iip_assets.metrics.intervals import holm, judgeable
from iip_assets.metrics.names import BASELINE, FILTER_CLASSES, OVERALL
from iip_assets.metrics.scored_predictions import (
    JUDGED,
    Passing,
    ScoredPredictions,
    chance_as_good,
    class_places,
    passing_of,
    places_by_slice,
    score,
    scored_filter,
    scored_probabilities,
    scored_segmenter,
)
from iip_assets.metrics.scores import Gate
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS, ModelTask
from iip_assets.settings import EvaluationSettings

METRICS_SCHEMA = {
    **dict.fromkeys(("model", "metric", "axis", "slice"), pl.String()),
    **JUDGED,
    "p_holm": pl.Float64(),
}
_CONFUSION = {
    **dict.fromkeys(("model", "actual", "predicted"), pl.String()),
    "n": pl.Int64(),
}


def evaluate(
    predictions: pl.DataFrame,
    train_labels: Sequence[str],
    groups: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    mask_classes: Sequence[str],
    evaluation: EvaluationSettings,
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
        evaluation: How intervals are made and which slices are large enough to judge.
        gate: What the filter should let pass.
        agreement: The tables of labeler_agreement; None where nobody asked several labelers.
    """
    test = predictions.filter(pl.col("split") == "test").join(groups, on="image_id")
    test = test.sort("image_id")
    scored = _scored(test, train_labels, mask_classes, gate)
    if agreement is not None:
        scored |= scored_labelers(agreement, test, mask_classes=mask_classes, gate=gate)
    metrics = [metrics_table(name, one, slices, evaluation) for name, one in scored.items()]
    counts = [*_filter_confusion(test), *_segmenter_confusion(test, mask_classes)]
    return {
        "metrics": pl.concat([pl.DataFrame(schema=METRICS_SCHEMA), *metrics]),
        "confusion": pl.DataFrame(counts, schema=_CONFUSION, orient="row"),
    }


def metrics_table(
    model: str, predictions: ScoredPredictions, slices: pl.DataFrame, evaluation: EvaluationSettings
) -> pl.DataFrame:
    """Every metric on all of the images, then on each slice, in `METRICS_SCHEMA`.

    `p_holm` answers, of the model's headline metric, whether a slice is as good as all images:
    small where it is worse, corrected for the number of slices that are asked about.
    """
    task = TASKS.get(model)
    rows, asked = [], []
    for axis, name, places in places_by_slice(predictions.image_ids, slices):
        scored = score(predictions, places, evaluation)
        enough = judgeable(scored.n_images, scored.n_subjects, evaluation.min_slice_images)
        for metric, one in scored.estimates.items():
            ends = (one.value, one.low, one.high, scored.n_images, scored.n_subjects, enough)
            rows.append((model, metric, axis, name, *ends))
            ask = enough and axis != OVERALL and name != UNKNOWN
            ask = ask and task is not None and metric == task.headline
            p = chance_as_good(predictions, places, metric, evaluation) if ask else None
            asked.append(np.nan if p is None else p)
    p_holm = pl.Series("p_holm", holm(np.array(asked)), pl.Float64).fill_nan(None)
    table = pl.DataFrame(rows, schema=list(METRICS_SCHEMA.items())[:-1], orient="row")
    return table.with_columns(p_holm)


def validation_table(
    predictions: pl.DataFrame,
    groups: pl.DataFrame,
    *,
    mask_classes: Sequence[str],
    evaluation: EvaluationSettings,
) -> pl.DataFrame:
    """Every metric of both models on the validation images among the predictions.

    In model, metric, value, low, high, n_images, n_subjects. A model that said nothing about
    validation images of known truth has no rows.
    """
    held_out = predictions.filter(pl.col("split") == "validation").join(groups, on="image_id")
    # As in training: an image labelled `unclear` chooses nothing, mask or not.
    clear = held_out.filter(pl.col("label").ne_missing("unclear"))
    return pl.concat(
        [
            filter_validation(held_out, evaluation),
            segmenter_validation(clear, mask_classes, evaluation),
        ]
    )


def filter_validation(held_out: pl.DataFrame, evaluation: EvaluationSettings) -> pl.DataFrame:
    """The filter's rows of `validation_table`; `prob_<class>` is null where it said nothing."""
    answered = pl.col(f"prob_{FILTER_CLASSES[0]}").is_not_null()
    known = FILTER.with_truth(held_out).filter(answered)
    return _validation(FILTER.name, scored_filter(known), evaluation)


def segmenter_validation(
    held_out: pl.DataFrame, classes: Sequence[str], evaluation: EvaluationSettings
) -> pl.DataFrame:
    """The segmenter's rows of `validation_table`; its counts are null where it said nothing."""
    known = held_out.filter(pl.col("confusion").is_not_null())
    scored = scored_segmenter(known, classes, boundary="boundary")
    return _validation(SEGMENTER.name, scored, evaluation)


def _validation(
    model: str, predictions: ScoredPredictions, evaluation: EvaluationSettings
) -> pl.DataFrame:
    no_slices = pl.DataFrame(schema=["image_id", "axis", "slice"])
    table = (
        metrics_table(model, predictions, no_slices, evaluation)
        if predictions.image_ids
        else pl.DataFrame(schema=METRICS_SCHEMA)
    )
    return table.drop("axis", "slice", "enough", "p_holm")


def _scored(
    test: pl.DataFrame, train_labels: Sequence[str], mask_classes: Sequence[str], gate: Gate
) -> dict[str, ScoredPredictions]:
    """The models that said something about test images of known truth, and their baselines."""
    scored: dict[str, ScoredPredictions] = {}
    named = _answered(FILTER, test)
    if named.height:
        blind = np.tile(class_shares(train_labels, FILTER_CLASSES), (named.height, 1))
        scored[FILTER.name] = scored_filter(named, passing=passing_of(named, gate))
        scored[f"{FILTER.name}{BASELINE}"] = scored_probabilities(
            named["image_id"].to_list(),
            named["group_id"].to_list(),
            class_places(named["label"]),
            blind,
            FILTER_CLASSES,
            passing=_blind_passing(blind, gate),
        )
    masked = test.filter(pl.col("confusion").is_not_null())
    if masked.height:
        scored[SEGMENTER.name] = scored_segmenter(masked, mask_classes, boundary="boundary")
        scored[f"{SEGMENTER.name}{BASELINE}"] = scored_segmenter(
            masked, mask_classes, confusion="confusion_baseline"
        )
    return scored


def class_shares(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
    """How common each class is among the labels, (K,); equal shares where there are none.

    As a filter that gives every image these probabilities, it always says the commonest class.
    """
    counts = np.array([labels.count(name) for name in classes], dtype=np.float64)
    if not counts.sum():
        return np.full(len(classes), 1 / len(classes))
    return np.asarray(counts / counts.sum())


def _blind_passing(shares: NDArray[np.float64], gate: Gate) -> Passing:
    """What a filter lets pass that never looks: all images or none, whichever costs less."""
    usable = shares[:, [FILTER_CLASSES.index(name) for name in gate.usable]].sum(1)
    lets_pass = usable * gate.lost_iris >= (1 - usable) * gate.failed_segmentation
    return Passing(usable, lets_pass, gate)


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
