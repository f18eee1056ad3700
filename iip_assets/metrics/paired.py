"""Two models on the same images: the difference of their metrics, with paired intervals.

Both are scored under the same draws of subjects, so what a hard subject costs both of them cancels
out, and the interval is that of the difference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iip_assets.metrics.intervals import bootstrap_weights, estimate
from iip_assets.metrics.scored_predictions import Scored, ScoredPredictions

LEAST_SUBJECTS = 10
"""An interval from fewer subjects is shown, and nothing is decided by it: it is too narrow."""


def score_difference(
    before: ScoredPredictions,
    after: ScoredPredictions,
    places: NDArray[np.int64],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Scored:
    """`after` − `before` of every metric; of one subject's images there is no interval.

    Args:
        before: One model's word on the images.
        after: Another's, on the same images in the same order.
        places: Which of the images count.
        resamples: How many times subjects are drawn again.
        confidence: Of the intervals.
        seed: Of the draws.
    """
    n_subjects = len({before.groups[place] for place in places})
    weights = _same_draws(before, after, places, resamples=resamples, seed=seed)
    was, is_now = before.score(places, weights), after.score(places, weights)
    return Scored(
        estimates={
            name: estimate(is_now[name] - was[name], confidence=confidence) for name in is_now
        },
        n_images=len(places),
        n_subjects=n_subjects,
    )


def draws_of_both(
    before: ScoredPredictions,
    after: ScoredPredictions,
    places: NDArray[np.int64],
    *,
    metric: str,
    resamples: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A metric of either under the same draws of subjects, (1 + resamples,) each; the data first.

    Of one subject's images there is the data's own value alone.
    """
    weights = _same_draws(before, after, places, resamples=resamples, seed=seed)
    return before.score(places, weights)[metric], after.score(places, weights)[metric]


def _same_draws(
    before: ScoredPredictions,
    after: ScoredPredictions,
    places: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    assert list(before.image_ids) == list(after.image_ids)
    groups = [before.groups[place] for place in places]
    several = len(set(groups)) > 1
    return bootstrap_weights(groups, resamples=resamples if several else 0, seed=seed)
