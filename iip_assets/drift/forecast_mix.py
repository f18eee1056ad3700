"""What if the images were of another mix: metrics of held-out images raked to given shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from iip_assets.drift.forecast import Floats, Spread, forecast_weighted
from iip_assets.drift.forecast_weights import Words, rake
from iip_assets.metrics.intervals import replicates
from iip_assets.metrics.scored_predictions import ScoredPredictions

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
    spread: Spread,
    *,
    metrics: Sequence[str],
) -> list[dict[str, Any]]:
    """A row a metric: now, and with other shares, with intervals over subjects.

    Subjects are left out of the raking too.

    Raises:
        LookupError: As `rake`.
        ValueError: Likewise.
    """
    made = replicates(predictions.groups, spread)
    base = made.weights[: 1 + len(made.sizes)]
    raked = np.array([_raked(words, shares, one > 0) for one in base])
    n = {"n_images": base.shape[1], "n_subjects": len(set(predictions.groups))}
    places = np.arange(base.shape[1])
    found = forecast_weighted(predictions, places, base, raked, spread, metrics=metrics)
    return [{"metric": name, **one.row(), **n} for name, one in found.items()]


def _raked(words: Mapping[str, Words], shares: Shares, some: Any) -> Floats:
    """Weights (N,) of the images that count, 0 of others; not known where a part has no image."""
    found = np.zeros(len(some))
    try:
        found[some] = rake({axis: own[some] for axis, own in words.items()}, shares)
    except (LookupError, ValueError):
        if some.all():
            raise
        return np.full(len(some), np.nan)
    return found
