"""Did a batch help: what the filter's head says when it is trained with it and without it.

A difference counts only where its interval leaves out 0. The interval holds both kinds of luck:
which subjects stand in the validation set, and which seed the training had (Bouthillier et al. 2021
show how much seeds matter). Their variances add up; the degrees of freedom are Welch's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.intervals import Estimate, estimate_difference, judgeable, replicates
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import class_places, places_by_slice, resting_on
from iip_assets.metrics.scores import filter_scores
from iip_assets.models.tasks import FILTER
from iip_assets.settings import EvaluationSettings

Floats = NDArray[np.float64]
Verdict = Literal["helps", "hurts", "no clear effect", "too small to judge"]

_SCHEMA = {
    **dict.fromkeys(("batch", "axis", "slice", "verdict"), pl.String()),
    **dict.fromkeys(("with_batch", "without_batch", "difference", "low", "high"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects", "training_images"), pl.Int64()),
}


def judge_batches(
    trials: Mapping[str, pl.DataFrame],
    examples: pl.DataFrame,
    slices: pl.DataFrame,
    evaluation: EvaluationSettings,
) -> pl.DataFrame:
    """For each batch and slice: the filter's F1 with it and without it, and a verdict.

    Args:
        trials: The tables of `batch_trials.try_batches`.
        examples: `image_id`, `split`, `group_id` and `label` of the validation images among
            others.
        slices: `image_id`, `axis`, `slice`.
        evaluation: How intervals are made, and how many validation images a slice must have.

    Returns:
        For each batch the row of all validation images (axis `overall`) first, then one a slice.
        `with_batch` and `without_batch` are means over seeds; `difference` is the first minus the
        second: above 0 the batch helps.
    """
    held_out = examples.filter(pl.col("split") == "validation")
    answers = _answers(trials["probabilities"], held_out)
    rows = [
        {"batch": batch, "training_images": size, **row}
        for batch, size in trials["batches"].select("batch", "training_images").iter_rows()
        for row in _rows(held_out, slices, answers[None], answers.get(batch), evaluation)
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _answers(probabilities: pl.DataFrame, held_out: pl.DataFrame) -> dict[str | None, list[Floats]]:
    """By the batch that was left out, for each seed the (N, K) in the order of the images."""
    found: dict[str | None, list[Floats]] = {}
    for (batch, _), part in probabilities.group_by("batch", "seed", maintain_order=True):
        ordered = held_out.select("image_id").join(part, on="image_id", maintain_order="left")
        shares = ordered.select(f"prob_{name}" for name in FILTER_CLASSES).to_numpy()
        found.setdefault(batch, []).append(shares)
    return found


def _rows(
    held_out: pl.DataFrame,
    slices: pl.DataFrame,
    with_batch: Sequence[Floats],
    without_batch: Sequence[Floats] | None,
    evaluation: EvaluationSettings,
) -> Iterable[dict[str, Any]]:
    actual, groups = class_places(held_out["label"]), held_out["group_id"].to_numpy()
    for axis, name, places in places_by_slice(held_out["image_id"].to_list(), slices):
        n_subjects = len(set(groups[places]))
        row = {"axis": axis, "slice": name, "n_images": len(places), "n_subjects": n_subjects}
        if without_batch is None:
            yield {**row, "verdict": "too small to judge"}
            continue
        made = replicates(groups[places].tolist(), evaluation)
        scores = [
            [filter_scores(actual[places], one[places], made.weights, FILTER_CLASSES) for one in of]
            for of in (with_batch, without_batch)
        ]
        found = [np.stack([one[FILTER.headline] for one in of]) for of in scores]
        means = [one.mean(0) for one in found]
        difference = estimate_difference(
            means[0] - means[1],
            made.sizes,
            confidence=evaluation.confidence,
            subjects=resting_on(scores[0][0], made)[FILTER.headline],
            # Equal seeds do not pair: on other images they draw otherwise.
            besides=[
                (float(one[:, 0].var(ddof=1)) / len(one), len(one) - 1)
                for one in found
                if len(one) > 1
            ],
        )
        enough = judgeable(len(places), n_subjects, evaluation.min_slice_images)
        yield {
            **row,
            "verdict": _verdict(difference) if enough else "too small to judge",
            "with_batch": float(means[0][0]),
            "without_batch": float(means[1][0]),
            "difference": difference.value,
            "low": difference.low,
            "high": difference.high,
        }


def _verdict(difference: Estimate) -> Verdict:
    if difference.low is None or difference.high is None:
        return "too small to judge"
    if difference.low > 0:
        return "helps"
    return "hurts" if difference.high < 0 else "no clear effect"
