"""What the filter's kind of model says of labelled images that it did not learn from.

To find wrong labels every image needs a prediction that did not learn from its own label
(Northcutt, Jiang and Chuang 2021, arXiv:1911.00068). A linear head on the embeddings is trained for
each fold of the subjects, in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import Skipped
from iip_assets.labels.folds import deal_folds, reason_for_no_folds
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.examples import LEAST_LABELLED

if TYPE_CHECKING:
    from iip_assets.training.progress import Progress

Floats = NDArray[np.float64]

# Of the covariance of 1,280 numbers from a few hundred images: halfway to a multiple of the unit
# matrix finds more flipped labels than the estimate of Ledoit and Wolf. Numbers keep their scale:
# to divide them by their spread makes noise of those that hardly vary.
_SHRINKAGE = 0.5
# The logarithm of the probability of a class that no image had.
_NEVER = -1000.0
# Of a variance, where no number varies.
_NOTHING = 1e-9


def out_of_fold_filter(
    examples: pl.DataFrame, *, folds: int, seeds: int, seed: int, progress: Progress
) -> pl.DataFrame | Skipped:
    """What linear heads on the embeddings say of each labelled image that they did not see.

    Each is a linear discriminant analysis with a shrunken covariance, of training subjects drawn
    with replacement: what the draws disagree in hangs on who happened to be photographed.

    Args:
        examples: image_id, group_id, split, label, embedding.
        folds: In so many parts subjects are held out.
        seeds: Draws of the training subjects.
        seed: Of the draws.
        progress: Shows how far it is, in heads.

    Returns:
        image_id, group_id, split, label, fold, `prob_<class>` (mean over the draws, calibrated on
        the labels), disagreement
        (the mean total variation of a draw's probabilities from their mean, in [0, 1]).
    """
    from scipy.special import softmax

    groups = examples["group_id"].to_list()
    reason = reason_for_no_folds(groups, least=LEAST_LABELLED, what="a label")
    if reason is None and examples["label"].n_unique() < 2:
        reason = f"finding wrong labels needs two labels; all images are {examples['label'][0]}"
    if reason is not None:
        return Skipped(reason)
    classes = np.array([FILTER_CLASSES.index(one) for one in examples["label"]])
    embeddings = np.array(examples["embedding"].to_list(), dtype=np.float64)
    fold = deal_folds(groups, folds)
    draws = np.zeros((seeds, len(classes), len(FILTER_CLASSES)))
    plan = [(one, draw) for one in np.unique(fold) for draw in range(seeds)]
    for held_out, draw in progress(plan, total=len(plan), label="heads that find wrong labels"):
        rng = np.random.default_rng([seed, draw, int(held_out)])
        train = _drawn(np.flatnonzero(fold != held_out), groups, rng)
        asked = fold == held_out
        draws[draw, asked] = fit_head(embeddings[train], classes[train], embeddings[asked])
    mean = _calibrated(draws.mean(0), classes)
    shares = softmax(draws, axis=2)
    return examples.select("image_id", "group_id", "split", "label").with_columns(
        pl.Series("fold", fold),
        *(pl.Series(f"prob_{name}", mean[:, k]) for k, name in enumerate(FILTER_CLASSES)),
        pl.Series("disagreement", np.abs(shares - shares.mean(0)).sum(2).mean(0) / 2),
    )


def _calibrated(logs: Floats, classes: NDArray[np.int64]) -> Floats:
    """Probabilities from log-probabilities (N, K), at the temperature that makes labels likeliest.

    Guo et al. 2017. A discriminant in 1,280 dimensions is surer than it is right.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax, softmax

    def loss(log_temperature: float) -> float:
        chosen = log_softmax(logs / np.exp(log_temperature), axis=1)
        return float(-chosen[np.arange(len(classes)), classes].mean())

    found = minimize_scalar(loss, bounds=(-1, 4), method="bounded")
    return np.asarray(softmax(logs / np.exp(found.x), axis=1))


def _drawn(
    places: NDArray[np.int64], groups: Sequence[str], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Images of as many groups as there are, drawn with replacement."""
    by_group: dict[str, list[int]] = {}
    for place in places.tolist():
        by_group.setdefault(groups[place], []).append(place)
    parts = list(by_group.values())
    return np.concatenate([parts[k] for k in rng.integers(0, len(parts), len(parts))])


def fit_head(embeddings: Floats, classes: NDArray[np.int64], asked: Floats) -> Floats:
    """Log-probabilities (M, K) of the asked embeddings; -1,000 of a class that no image had.

    By linear discriminant analysis with a shrunken covariance, as scikit-learn has it, which takes
    ten times as long to solve for 1,280 numbers.
    """
    from scipy.linalg import solve
    from scipy.special import log_softmax
    from threadpoolctl import threadpool_limits

    found = np.full((len(asked), len(FILTER_CLASSES)), _NEVER)
    present, place = np.unique(classes, return_inverse=True)
    if len(present) < 2:
        found[:, present] = 0
        return found
    sizes = np.bincount(place)
    means = np.stack([embeddings[place == k].mean(0) for k in range(len(present))])
    with threadpool_limits(1, "blas"):  # the same bits on any number of cores
        within = embeddings - means[place]
        covariance = (1 - _SHRINKAGE) * (within.T @ within) / len(place)
        even = _SHRINKAGE / (1 - _SHRINKAGE) * np.trace(covariance) / len(covariance)
        covariance[np.diag_indices_from(covariance)] += max(even, _NOTHING)
        weights = solve(covariance, means.T, assume_a="pos")
        offsets = np.log(sizes / len(place)) - 0.5 * (means * weights.T).sum(1)
        found[:, present] = log_softmax(asked @ weights + offsets, axis=1)
    return found
