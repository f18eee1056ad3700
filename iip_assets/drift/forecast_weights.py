"""How much each labelled image counts, so that together they are like new ones.

By the ratio of densities, from a classifier that tells old and new images apart (Bickel, Brückner
and Scheffer 2009), or by raking to known shares (Deming and Stephan 1940). Data in, weights out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from iip_assets.errors import no_such

Floats = NDArray[np.float64]
Words = NDArray[np.str_]

COMPONENTS = 16
# What an image counts at most, in means: a handful must not speak for all.
_MOST = 20.0
_NEAR, _STEPS = 1e-6, 25
_RAKED, _PASSES = 1e-9, 500


def principal_components(old: Floats, new: Floats) -> tuple[Floats, Floats]:
    """Embeddings (N, D) and (M, D) along the directions in which all of them vary most."""
    both = np.concatenate([old, new]).astype(np.float64)
    centred = both - both.mean(0)
    left, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    found = (left * lengths)[:, :COMPONENTS]
    return found[: len(old)], found[len(old) :]


def density_ratio(old: Floats, new: Floats, base: Floats, *, penalty: float) -> Floats:
    """Weights (N,), mean 1 where `base` is above 0, under which old features are like new ones.

    Args:
        old: (N, D).
        new: (M, D).
        base: (N,) what each old image counts before.
        penalty: Of the squared coefficients of the logistic regression, in images.
    """
    features = np.concatenate([old, new])
    centre, spread = features.mean(0), features.std(0)
    inputs = (features - centre) / np.where(spread > _NEAR, spread, 1)
    size = len(old)
    total = (base.sum() + len(new)) / 2
    counts = np.concatenate([base * total / base.sum(), np.full(len(new), total / len(new))])
    outcome = np.repeat([0.0, 1.0], [size, len(new)])
    found = _logistic(inputs, outcome, counts, penalty)
    ratio = np.exp(np.clip(inputs[:size] @ found, -20, 20)) * base
    some = base > 0
    ratio = np.minimum(ratio, _MOST * ratio[some].mean())
    return np.asarray(ratio / ratio[some].mean())


def _logistic(inputs: Floats, outcome: Floats, counts: Floats, penalty: float) -> Floats:
    """Coefficients (D,) beside an intercept, of a ridge logistic regression, by Newton's method."""
    inputs = np.column_stack([inputs, np.ones(len(inputs))])
    ridge = np.append(np.full(inputs.shape[1] - 1, penalty), _NEAR)
    found = np.zeros(len(ridge))
    for _ in range(_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(inputs @ found, -30, 30)))
        slope = inputs.T @ (counts * (chance - outcome)) + ridge * found
        curve = (inputs * (counts * chance * (1 - chance))[:, None]).T @ inputs + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        found -= step
        if np.abs(step).max() < _NEAR:
            break
    return found[:-1]


def rake(words: Mapping[str, Words], shares: Mapping[str, Mapping[str, float]]) -> Floats:
    """Weights (N,), mean 1, under which each word of an axis has its share.

    Words of an axis that are not named keep their proportions in what is left.

    Args:
        words: By axis the word of each image, (N,).
        shares: By axis and word the share asked for.

    Raises:
        LookupError: There is no such axis, or no image has the word.
        ValueError: Shares of an axis make more than 1, or no images are left for the rest, or no
            weights give all shares at once.
    """
    targets = [_targets(axis, words, asked) for axis, asked in shares.items()]
    weights = np.ones(len(next(iter(words.values()))))
    for _ in range(_PASSES):
        apart = 0.0
        for parts, wanted in targets:
            sums = parts @ weights
            apart = max(apart, float(np.abs(sums / weights.sum() - wanted).max()))
            factors = wanted * weights.sum() / np.where(sums > 0, sums, np.inf)
            weights = weights * (factors @ parts)
        if apart < _RAKED:
            return np.asarray(weights / weights.mean())
    names = ", ".join(f"{axis}.{word}" for axis, asked in shares.items() for word in asked)
    raise ValueError(f"no weights of the held-out images give all shares at once: {names}")


def _targets(
    axis: str, words: Mapping[str, Words], asked: Mapping[str, float]
) -> tuple[Floats, Floats]:
    """(P, N) which images each part has, and the share (P,) that it is to have."""
    if axis not in words:
        raise LookupError(no_such("axis", axis, words))
    parts = np.stack([words[axis] == word for word in asked]).astype(np.float64)
    for word, own in zip(asked, parts, strict=True):
        if not own.any():
            raise LookupError(no_such(axis, word, set(words[axis].tolist())))
    rest, left = 1 - parts.sum(0), 1 - sum(asked.values())
    if left < -_NEAR:
        raise ValueError(f"shares of {axis} make {1 - left:g}, more than 1")
    if left > _NEAR and not rest.any():
        raise ValueError(f"shares of {axis} make {1 - left:g}, and no image is of another {axis}")
    others = 1 if rest.any() else 0
    wanted = [*asked.values(), max(left, 0.0)]
    return np.stack([*parts, rest])[: len(parts) + others], np.array(wanted)[: len(parts) + others]


def effective(weights: Floats, groups: Sequence[str] | Words | None = None) -> float:
    """As how many images, or groups, of equal weight these count (Kish 1965)."""
    if groups is not None:
        _, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
        weights = np.bincount(places, weights).astype(np.float64)
    squares = float((weights**2).sum())
    return float(weights.sum() ** 2 / squares) if squares > 0 else 0.0


def far_share(old: Floats, new: Floats, groups: Sequence[str], *, quantile: float) -> float:
    """The share of new images (M, D) farther from every old one than nearly all old ones are.

    An old image's distance is that to the nearest of another subject; `quantile` of them are
    nearer than what counts as far.
    """
    from scipy.spatial.distance import cdist

    names = np.asarray(groups, dtype=str)
    among = cdist(old, old)
    among[names[:, None] == names] = np.inf
    nearest = among.min(1)
    nearest = nearest[np.isfinite(nearest)]
    if not len(nearest):
        return 0.0
    return float((cdist(new, old).min(1) > np.quantile(nearest, quantile)).mean())
