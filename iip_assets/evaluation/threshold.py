"""From what score on an image goes to the segmenter: where lost irises and failures cost least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.intervals import bootstrap_weights, estimate

Floats = NDArray[np.float64]

_STEPS = 101

LEAST_OF_EACH = 5
"""With fewer usable or fewer unusable validation images the curve is luck."""


@dataclass(frozen=True)
class Costs:
    """What a wrong word of the filter costs, in any one unit.

    Attributes:
        lost_iris: A usable image that is rejected: somebody must be photographed again.
        failed_segmentation: An unusable image that passes: the segmenter's time, and a mask
            that nothing good can come of.
    """

    lost_iris: float
    failed_segmentation: float

    @property
    def break_even(self) -> float:
        """The probability from which on passing costs less (Elkan 2001), if probabilities hold."""
        return self.failed_segmentation / (self.failed_segmentation + self.lost_iris)


def cost_curve(
    usable: NDArray[np.bool_],
    scores: Floats,
    groups: Sequence[str],
    costs: Costs,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> pl.DataFrame:
    """For thresholds from 0 to 1: `threshold`, `lost`, `failed`, `cost`, and its `low` and `high`.

    `lost` and `failed` are shares of usable and of unusable images, null where there are none;
    `cost` is that of an image on average.

    Args:
        usable: (N,) whether the segmenter can do something with the image.
        scores: (N,) the filter's probability of that.
        groups: (N,) the subject of each.
        costs: What errors cost.
        resamples: How many times subjects are drawn again for the interval of the cost.
        confidence: Of the interval.
        seed: Of the draws.
    """
    several = len(set(groups)) > 1
    weights = bootstrap_weights(groups, resamples=resamples if several else 0, seed=seed)
    rows = []
    for threshold in np.linspace(0, 1, _STEPS):
        lost = usable & (scores < threshold)
        failed = ~usable & (scores >= threshold)
        paid = lost * costs.lost_iris + failed * costs.failed_segmentation
        drawn = weights.sum(1)
        cost = estimate((weights @ paid) / np.maximum(drawn, 1), confidence=confidence)
        rows.append(
            {
                "threshold": float(threshold),
                "lost": float(lost.sum() / usable.sum()) if usable.any() else None,
                "failed": float(failed.sum() / (~usable).sum()) if not usable.all() else None,
                "cost": cost.value,
                "low": cost.low,
                "high": cost.high,
            }
        )
    schema = dict.fromkeys(("threshold", "lost", "failed", "cost", "low", "high"), pl.Float64())
    return pl.DataFrame(rows, schema=schema)


def choose_threshold(curve: pl.DataFrame, costs: Costs, *, usable: int, unusable: int) -> float:
    """The cheapest threshold; of several equally cheap ones that nearest to breaking even.

    With fewer than `LEAST_OF_EACH` usable or unusable images it is where costs break even, which
    needs calibrated probabilities and no further images.
    """
    if min(usable, unusable) < LEAST_OF_EACH:
        return costs.break_even
    cheapest = curve.filter(pl.col("cost") <= pl.col("cost").min() + 1e-12)
    apart = (pl.col("threshold") - costs.break_even).abs()
    return float(cheapest.sort(apart)["threshold"][0])
