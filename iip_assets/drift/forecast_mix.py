"""What if the images were of another mix: metrics of held-out images raked to given shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from iip_assets.drift.forecast_weights import Words, effective, rake
from iip_assets.metrics.intervals import Intervals, estimate, estimate_difference, replicates
from iip_assets.metrics.scored_predictions import ScoredPredictions, resting_on

Shares = Mapping[str, Mapping[str, float]]


def parse_mix(words: Sequence[str]) -> dict[str, dict[str, float]]:
    """`ethnicity.black=0.4` and others as shares by axis and value.

    Raises:
        ValueError: A word is none of these.
    """
    found: dict[str, dict[str, float]] = {}
    for word in words:
        name, _, text = word.rpartition("=")
        axis, dot, value = name.partition(".")
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not (axis and dot and value) or not 0 <= share <= 1:
            raise ValueError(
                f"{word!r} is no share; give AXIS.VALUE=SHARE, such as ethnicity.black=0.4"
            )
        found.setdefault(axis, {})[value] = share
    return found


def words_by_axis(image_ids: Sequence[str], slices: pl.DataFrame) -> dict[str, Words]:
    """By axis the slice of each image (N,), from `image_id`, `axis`, `slice`."""
    ids = pl.DataFrame({"image_id": image_ids})
    return {
        str(axis): ids.join(own, on="image_id", how="left", maintain_order="left")["slice"]
        .fill_null("unknown")
        .to_numpy()
        .astype(str)
        for (axis,), own in slices.group_by("axis")
    }


def forecast_mix(
    predictions: ScoredPredictions,
    words: Mapping[str, Words],
    shares: Shares,
    intervals: Intervals,
    *,
    metrics: Sequence[str],
) -> list[dict[str, Any]]:
    """A row a metric: now, and with other shares, with intervals over subjects.

    Subjects are left out of the raking too.

    Raises:
        LookupError: As `rake`.
        ValueError: Likewise.
    """
    made = replicates(predictions.groups, intervals)
    count = len(made.sizes)
    raked = np.array([_raked(words, shares, one) for one in made.weights[: 1 + count]])
    weights = np.concatenate([raked, made.weights[1 + count :] * raked[0]])
    places = np.arange(len(predictions.groups))
    now, then = (predictions.score(places, one) for one in (made.weights, weights))
    behind = resting_on(now, made)
    rows = []
    for name in metrics:
        largest = predictions.largest.get(name, 1.0)
        sure, subjects = intervals.confidence, behind[name]
        value = estimate(
            then[name], made.sizes, confidence=sure, largest=largest, subjects=subjects
        )
        change = estimate_difference(
            then[name] - now[name], made.sizes, confidence=sure, subjects=subjects
        )
        rows.append(
            {
                "metric": name,
                "now": float(now[name][0]),
                **{"value": value.value, "low": value.low, "high": value.high},
                **{"change": change.value, "change_low": change.low, "change_high": change.high},
                "effective_images": effective(raked[0]),
                "n_images": len(places),
                "n_subjects": len(set(predictions.groups)),
            }
        )
    return rows


def _raked(words: Mapping[str, Words], shares: Shares, base: Any) -> Any:
    """Weights (N,) of the images that count, 0 of others; not known where a part has no image."""
    some = base > 0
    found = np.zeros(len(base))
    try:
        found[some] = rake({axis: own[some] for axis, own in words.items()}, shares)
    except (LookupError, ValueError):
        if some.all():
            raise
        return np.full(len(base), np.nan)
    return found
