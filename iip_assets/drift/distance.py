"""How far apart two samples of one feature are, and how far apart chance alone would put them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], float]

DRAWS = 200
# A feature that did not move passes for moved in one case of a hundred.
CHANCE_LEVEL = 0.99


def normed_wasserstein(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """First Wasserstein distance in standard deviations of the reference, as Evidently defines it.

    Args:
        reference: Shape (N,), N > 0.
        current: Shape (M,), M > 0.
    """
    spread = max(float(np.std(reference)), 0.001)
    return float(wasserstein_distance(reference, current)) / spread


def jensen_shannon(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """Jensen-Shannon distance of two samples of codes 0, 1, 2…, with the natural logarithm.

    Args:
        reference: Shape (N,), N > 0, whole numbers.
        current: Shape (M,), M > 0, whole numbers.

    Returns:
        0 for equal shares, 0.83 (the root of ln 2) where no word is common.
    """
    words = int(max(reference.max(), current.max())) + 1
    before = np.bincount(reference.astype(np.int64), minlength=words) / len(reference)
    after = np.bincount(current.astype(np.int64), minlength=words) / len(current)
    if np.array_equal(before, after):
        return 0.0  # where rounding can leave the root of a tiny negative number
    return float(jensenshannon(before, after))


def distance_by_chance(
    distance: Distance,
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    subjects: NDArray[np.int64],
    *,
    seed: int,
) -> float:
    """The distance that two samples of these sizes reach in 1 of 100 draws when nothing has moved.

    A permutation test (Good 2005) that shuffles subjects rather than images: a batch of ten people
    with ten images each says about ten things about gender, not a hundred.

    Args:
        distance: Of two samples.
        reference: Shape (N,).
        current: Shape (M,).
        subjects: Shape (N + M,), whole numbers: who is in each image, reference first.
        seed: Of the shuffles.
    """
    rng = np.random.default_rng(seed)
    pooled = np.concatenate([reference, current])
    _, subject = np.unique(subjects, return_inverse=True)
    n_subjects = int(subject.max()) + 1
    distances = np.empty(DRAWS)
    for draw in range(DRAWS):
        order = np.argsort(rng.permutation(n_subjects)[subject], kind="stable")
        shuffled = pooled[order]
        distances[draw] = distance(shuffled[len(current) :], shuffled[: len(current)])
    return float(np.quantile(distances, CHANCE_LEVEL, method="higher"))
