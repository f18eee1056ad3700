"""What the explanations of a sample say together: does a model look at the eye, is that so."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import CheckResult
from iip_assets.metrics.functional import weighted_mean
from iip_assets.metrics.intervals import estimate, estimate_difference, judgeable, replicates
from iip_assets.metrics.scored_predictions import JUDGED
from iip_assets.settings import EvaluationSettings

Floats = NDArray[np.float64]

RIGHT, WRONG, APART = "right", "wrong", "right − wrong"
"""Which predictions a measure is of; the last is the difference of the other two."""

METRICS = ("share_on_eye", "chance_share", "share_gain", "deletion_gain")
"""Means over images of what the attribution has on the eye, of what one by chance has, of what it
has more, and of how much smaller the area under its deletion curve is than that by chance."""

SHARES = METRICS[:2]
"""Those between 0 and 1; the others are differences."""

SCHEMA = {**dict.fromkeys(("model", "predictions", "metric"), pl.String()), **JUDGED}


def measures(explained: pl.DataFrame, evaluation: EvaluationSettings) -> pl.DataFrame:
    """For each model, metric and kind of prediction the mean over the sampled images.

    For the intervals subjects are left out, the same ones of right and wrong predictions.

    Args:
        explained: `model`, `image_id`, `group_id`, `right`, `sampled` and the numbers of
            `explained_rows`.
        evaluation: How intervals are made. Of fewer images than are enough there, or of fewer than
            `LEAST_SUBJECTS` subjects, a measure is shown, and is marked as not `enough`.
    """
    numbers = explained.filter("sampled").with_columns(
        share_gain=pl.col("share_on_eye") - pl.col("chance_share"),
        deletion_gain=pl.col("chance_area") - pl.col("deletion_area"),
    )
    rows: list[tuple[object, ...]] = []
    for (model,), of_model in sorted(numbers.group_by("model"), key=lambda pair: str(pair[0])):
        for metric in METRICS:
            known = of_model.drop_nulls(metric).sort("image_id")
            for kind, *found in _by_kind(known, metric, evaluation):
                rows.append((model, kind, metric, *found))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _by_kind(
    known: pl.DataFrame, metric: str, evaluation: EvaluationSettings
) -> list[tuple[object, ...]]:
    values, right = known[metric].to_numpy(), known["right"].to_numpy()
    groups = known["group_id"].to_numpy()
    made = replicates(groups.tolist(), evaluation)
    means = {
        RIGHT: weighted_mean(values, made.weights * right),
        WRONG: weighted_mean(values, made.weights * ~right),
    }
    means[APART] = means[RIGHT] - means[WRONG]
    counts = {
        kind: (int(chosen.sum()), len(set(groups[chosen])))
        for kind, chosen in ((RIGHT, right), (WRONG, ~right))
    }
    # A difference is known no better than the smaller of the two.
    counts[APART] = tuple(min(pair) for pair in zip(*counts.values(), strict=True))
    rows: list[tuple[object, ...]] = []
    for kind, one in means.items():
        n_images, n_subjects = counts[kind]
        if not n_images:
            continue
        interval = estimate if kind != APART and metric in SHARES else estimate_difference
        found = interval(
            one,
            made.sizes,
            confidence=evaluation.confidence,
            subjects=n_subjects if kind == APART else None,
        )
        enough = judgeable(n_images, n_subjects, evaluation.min_slice_images)
        rows.append((kind, found.value, found.low, found.high, n_images, n_subjects, enough))
    return rows


def faithful_check(table: pl.DataFrame) -> CheckResult:
    """Whether every model's score falls sooner by what counted than by chance, of `measures`.

    What has too few images or subjects decides nothing.
    """
    rows = table.filter((pl.col("metric") == "deletion_gain") & (pl.col("predictions") != APART))
    decisive = rows.filter("enough")
    words = [
        f"{row['model']}, {row['predictions']}: {row['value']:+.3f} ({row['low']:+.3f} to "
        f"{row['high']:+.3f}, n = {row['n_images']} of {row['n_subjects']} subjects)"
        for row in decisive.iter_rows(named=True)
    ]
    return CheckResult(
        passed=None if decisive.is_empty() else bool((decisive["low"] > 0).all()),
        severity="warning",
        description="area under the curve by chance minus that by what counted; " + "; ".join(words)
        if words
        else "not looked at: too few images to tell",
    )
