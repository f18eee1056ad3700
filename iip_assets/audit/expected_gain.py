"""What a label of each image would be worth, from embeddings, probabilities and errors alone.

An image is worth what the filter is expected to get wrong there, under the macro average: a missed
image of a class that few images of the pool have costs more than one of a common class, which is
what finds rare modes (measured by `benchmarks/next_labels.py`). Where labels are sparse, what the
filter says counts little: novel images may be of any class, most of all of one that has no labels.
The choice among them is Lightly's (`choose`), which keeps the chosen apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_COMPONENTS = 96
_NEIGHBOURS = 5
# Of the pool, by which frequency is told; of a larger one every so many images stand for it.
_POOL_NEIGHBOURS, _MOST = 10, 20_000
# How far the errors near an image move the filter's own doubt.
_ERRORS_COUNT = 0.3
# In so many dimensions distances differ little: squared, what is frequent comes through.
_FREQUENCY_POWER = 2
# A class that is rarer than this in the pool counts as if it were not.
_RAREST = 0.01
_LEAST = 1e-6


@dataclass(frozen=True)
class Worth:
    """What is known of each image of the pool, all (N,).

    Attributes:
        doubt: The filter's probability that its likeliest class is wrong.
        local_error: Mean out-of-fold error of the nearest labelled images, in [0, 1].
        novelty: 0 where labels are as near as they are to one another, 1 at twice that distance.
        frequency: How densely images of the pool lie there; 1 is the median.
        error: The expected macro error there; its mean is that of the pool, in [0, 1].
        gain: Error × frequency² over the mean of that. By it images are chosen.
    """

    doubt: Floats
    local_error: Floats
    novelty: Floats
    frequency: Floats
    error: Floats
    gain: Floats


def unit_vectors(embeddings: NDArray[np.floating]) -> Floats:
    """(N, at most 96) principal components of (N, D), of length 1: distances tell kinds apart."""
    from sklearn.utils.extmath import randomized_svd

    size = min(_COMPONENTS, *embeddings.shape)
    left, values, _ = randomized_svd(embeddings - embeddings.mean(0), size, random_state=0)
    parts = left * values
    length = np.linalg.norm(parts, axis=1, keepdims=True)
    return np.asarray(parts / np.maximum(length, 1e-12), dtype=np.float64)


def worth_of(
    pool: Floats,
    labelled: Floats,
    *,
    probabilities: Floats,
    errors: Floats | None,
) -> Worth:
    """What a label of each image of the pool would be worth.

    Args:
        pool: (N, D) unit vectors of the images that nobody has labelled.
        labelled: (L, D) of the others.
        probabilities: (N, K) what the filter says of the pool.
        errors: (L,) how wrong models are out of fold on the labelled images, in [0, 1].
    """
    count = len(pool)
    near, places = _nearest(pool, labelled, _NEIGHBOURS)
    novelty = np.ones(count)
    if len(labelled) > 1:
        novelty = np.clip(near[:, 0] / spacing(labelled) - 1, 0, 1)
    local_error = np.zeros(count)
    if errors is not None and len(labelled):
        local_error = errors[places].mean(1)
    error = macro_errors(probabilities, novelty)
    if errors is not None and errors.any():
        error = error * (1 + _ERRORS_COUNT * (local_error / errors.mean() - 1))
    away, _ = _nearest(pool, pool[:: -(-count // _MOST)], _POOL_NEIGHBOURS + 1)
    density = 1 / (away[:, 1:].mean(1) + _LEAST) if count > 1 else np.ones(count)
    frequency = density / np.median(density)
    gain = np.maximum(error, _LEAST) * frequency**_FREQUENCY_POWER
    doubt = 1 - probabilities.max(1)
    return Worth(doubt, local_error, novelty, frequency, error, gain / gain.mean())


def macro_errors(probabilities: Floats, novelty: Floats) -> Floats:
    """(N,) what each image adds to the expected macro error (1 - mean recall), which is their mean.

    Args:
        probabilities: (N, K).
        novelty: (N,) in [0, 1]; so far every class is held to be equally likely.
    """
    classes = probabilities.shape[1]
    believed = probabilities * (1 - novelty[:, None]) + novelty[:, None] / classes
    cost = believed / (classes * np.maximum(believed.mean(0), _RAREST))
    said = probabilities.argmax(1)
    return np.asarray(cost.sum(1) - cost[np.arange(len(cost)), said])


def choose(
    embeddings: Floats,
    gain: Floats,
    taken: NDArray[np.bool_],
    count: int,
) -> list[int]:
    """Places of the next images, the first first: of high gain, and far from those that are taken.

    Greedy by gain × distance to what is taken or chosen; the only use of Lightly's library.

    Args:
        embeddings: (N, D) unit vectors.
        gain: (N,) above 0; of those that are taken it does not matter.
        taken: (N,) which have a label.
        count: How many, at most; all are ranked where there are fewer.
    """
    from lightly_mundig import Selection

    free = np.flatnonzero(~taken)
    order = np.concatenate([np.flatnonzero(taken), free])
    before = len(order) - len(free)
    selection = Selection()
    selection.add_diversifying_strategy(embeddings[order].astype(np.float32), 1.0)
    selection.add_weighting_strategy(np.maximum(gain[order], _LEAST).tolist(), 1.0)
    found = selection.run_selection(list(range(before)), len(order), before + min(count, len(free)))
    return [int(order[place]) for place in found[before:]]


def promised_gains(pool: Floats, labelled: Floats, error: Floats, chosen: Places) -> Floats:
    """(n,) the pool's expected macro error that each chosen image's label settles beside the last.

    An image settles what lies near it, as far as no label and no image chosen before does. They
    sum to what the batch promises, at most the pool's expected macro error.

    Args:
        pool: (N, D) unit vectors.
        labelled: (L, D) likewise.
        error: (N,) as `Worth.error`.
        chosen: (n,) places in the pool.
    """
    if not len(chosen):
        return np.empty(0)
    reach = spacing(labelled) if len(labelled) > 1 else spacing(pool[chosen])
    settled = np.zeros(len(pool))
    if len(labelled):
        settled = _likeness(_nearest(pool, labelled, 1)[0][:, 0], reach)
    promised = []
    for place in chosen:
        away = np.linalg.norm(pool - pool[place], axis=1)
        by_this = np.maximum(settled, _likeness(away, reach))
        promised.append(float((error * (by_this - settled)).mean()))
        settled = by_this
    return np.array(promised)


def spacing(vectors: Floats) -> float:
    """The median distance of each of (N, D) to its nearest other; 1 where there is no other."""
    if len(vectors) < 2:
        return 1.0
    near, _ = _nearest(vectors, vectors, 2)
    return max(float(np.median(near[:, 1])), _LEAST)


def _likeness(distances: Floats, reach: float) -> Floats:
    return np.asarray(np.exp(-((distances / reach) ** 2)))


def _nearest(of: Floats, among: Floats, count: int) -> tuple[Floats, Places]:
    """(N, count) distances to the nearest, in ascending order, and their places; fewer if few."""
    from sklearn.neighbors import NearestNeighbors

    if not len(among):
        return np.empty((len(of), 0)), np.empty((len(of), 0), dtype=np.int64)
    search = NearestNeighbors(n_neighbors=min(count, len(among)), algorithm="brute")
    distances, places = search.fit(among).kneighbors(of)
    return distances, places
