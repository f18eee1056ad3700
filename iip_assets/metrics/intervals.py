"""Intervals by the percentile bootstrap over groups of images.

Images of one person resemble each other: drawing single images would make an interval too
narrow, so whole groups are drawn (Field and Welsh 2007, cluster bootstrap).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_SUBJECTS = 10
"""An interval from fewer subjects is shown, and nothing is decided by it: it is too narrow."""

ENOUGH_SUBJECTS = 20
"""From this many subjects on, a model beats the baseline only if its whole interval does.

The percentile bootstrap over fewer groups is too narrow to trust and too coarse to decide by.
"""


class Intervals(Protocol):
    """How intervals are drawn; `EvaluationSettings` says it."""

    @property
    def resamples(self) -> int:
        """How many times subjects are drawn again."""
        ...

    @property
    def confidence(self) -> float:
        """How sure."""
        ...

    @property
    def seed(self) -> int:
        """Of the draws."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A metric's value with its interval; None where the data do not define it."""

    value: float | None
    low: float | None
    high: float | None


def bootstrap_weights(groups: Sequence[str], *, resamples: int, seed: int) -> Floats:
    """How often each image is drawn: (1 + resamples, N); the first row is the data itself.

    Groups are drawn again whole. The draws depend on the groups' names and not on the images'
    order.
    """
    names, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if not len(names):
        return np.zeros((1 + resamples, 0))
    rng = np.random.default_rng(seed)
    share = np.full(len(names), 1 / len(names))
    drawn = rng.multinomial(len(names), share, size=resamples)
    counts = np.concatenate([np.ones((1, len(names))), drawn])
    return np.asarray(counts[:, places], dtype=np.float64)


def weights_of_several(groups: Sequence[str], *, resamples: int, seed: int) -> Floats:
    """`bootstrap_weights`; of one subject's images the data alone, and so no interval.

    Drawn again, one subject is always itself: that would claim to be certain.
    """
    resamples = resamples if len(set(groups)) > 1 else 0
    return bootstrap_weights(groups, resamples=resamples, seed=seed)


def estimate(values: Floats, *, confidence: float) -> Estimate:
    """The estimate from a metric's values under `bootstrap_weights`, (1 + resamples,).

    There is no interval where more than half of the draws leave the metric undefined.
    """
    value, draws = values[0], values[1:]
    known = draws[~np.isnan(draws)]
    if np.isnan(value):
        return Estimate(None, None, None)
    if len(known) * 2 < len(draws) or not len(known):
        return Estimate(float(value), None, None)
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high))
