"""What new images will do to a model's metrics before anybody labels them.

Two ways. Reweighted: the labelled held-out images count as much as makes them like the new ones,
and every metric is measured under these weights. Recalibrated (PAPE, arXiv 2401.08348): what the
filter's probabilities are worth is learned under such weights, and the confusion matrix that they
then lead to expect on the new images gives its metrics. Both assume that images like these keep
their labels; where that is in doubt, or nothing like them was labelled, there is no forecast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from iip_assets.drift.forecast_weights import density_ratio, effective
from iip_assets.metrics.functional import accuracy, f1, over_classes
from iip_assets.metrics.intervals import Estimate, estimate_difference, replicates
from iip_assets.metrics.scored_predictions import ScoredPredictions

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Subsets = Mapping[tuple[str, str], tuple[Indices, Indices]]
"""By axis and slice the places of its old and of its new images."""
Found = dict[tuple[str, str], dict[str, "Forecast"]]
"""By subset and metric."""

REWEIGHTED, RECALIBRATED = "reweighted", "recalibrated"

# Chosen on the half of the planted shifts that is not reported: benchmarks/forecast.py.
_FEW, _FEW_PENALTY = 4, 1.0
_MANY_PENALTY = 200.0
# Of a temperature and of biases, in images: without images the probabilities stay as they are.
_PENALTY = 1.0
_LEAST_LOG = 1e-6
# Labels that are drawn to see how a metric varies by chance in so many new images.
_DRAWS = 200
_MANY = 1e6
# A class of which fewer images are expected is none of an average.
_OCCURS = 0.5


@dataclass(frozen=True)
class Spread:
    """How intervals of a forecast are made: all is fitted again for each part left out."""

    confidence: float
    seed: int
    resamples: int = 20


@dataclass(frozen=True)
class Side:
    """The images of one side.

    Attributes:
        seen: (N, D) principal components of their embeddings, the largest first.
        groups: (N,) the subject of each.
        probabilities: (N, K) of the filter; None where there is none.
    """

    seen: Floats
    groups: Sequence[str]
    probabilities: Floats | None = None

    def few(self) -> Floats:
        """Features of which the reweighting makes old and new images alike."""
        parts = [self.seen[:, :_FEW]]
        if self.probabilities is not None:
            sure = self.probabilities.max(1, keepdims=True)
            parts = [self.probabilities[:, :-1], 1 - sure, *parts]
        return np.column_stack(parts)

    def many(self) -> Floats:
        """Features of which the recalibration does."""
        logs = [] if self.probabilities is None else [_logs(self.probabilities)]
        return np.column_stack([*logs, self.seen])


@dataclass(frozen=True)
class Forecast:
    """A metric on new images.

    Attributes:
        now: On the old ones.
        value: On the new ones, with the interval in which it will be measured.
        change: The second minus the first, with its interval.
        effective: As how many old images of equal weight the forecast counts.
    """

    now: float | None
    value: Estimate
    change: Estimate
    effective: float

    def row(self) -> dict[str, float | None]:
        """As a table has it."""
        value, change = self.value, self.change
        return {
            **{"now": self.now, "value": value.value, "low": value.low, "high": value.high},
            **{"change": change.value, "change_low": change.low, "change_high": change.high},
            "effective_images": self.effective,
        }


def forecast_weighted(
    predictions: ScoredPredictions,
    places: Indices,
    base: Floats,
    weights: Floats,
    spread: Spread,
    *,
    metrics: Sequence[str],
    besides: Mapping[str, float] | None = None,
) -> dict[str, Forecast]:
    """Metrics of the images at some places (n,), as they are and weighted.

    Args:
        predictions: Of N images.
        places: Of the images that are asked about.
        base: Shape (1 + G, N), all images, then all without each part of their subjects.
        weights: Likewise, what the images count as.
        spread: Of the intervals.
        metrics: By name.
        besides: By metric, the variance that leaving out subjects does not show.
    """
    now, then = (predictions.score(places, one[:, places]) for one in (base, weights))
    others, images = besides or {}, effective(weights[0][places])
    return {
        name: _forecast(then[name], now[name], base, spread, others.get(name, 0.0), images=images)
        for name in metrics
    }


def forecast_reweighted(
    old: Side,
    new: Side,
    predictions: ScoredPredictions,
    spread: Spread,
    *,
    metrics: Sequence[str],
    subsets: Subsets,
) -> Found:
    """By subset metrics of the old images' predictions, weighted to be like the new ones.

    The interval also has the variance of so many new images, and that of two models of the weights,
    the other one by the features of the recalibration: no model of them is known to be right.
    """
    base = _left_out(old.groups, spread)
    few = old.few(), new.few()
    weights = np.stack([density_ratio(*few, one, penalty=_FEW_PENALTY) for one in base])
    other = density_ratio(old.many(), new.many(), base[0], penalty=_MANY_PENALTY)
    names = np.asarray(old.groups), np.asarray(new.groups)
    result: Found = {}
    for subset, (own, asked) in subsets.items():
        fixed, modelled = (
            predictions.score(own, one[:, own])
            for one in (base * weights[0], np.stack([weights[0], other]))
        )
        # So many subjects vary in the new images as they do here.
        subjects = effective(weights[0][own], names[0][own]) / len(set(names[1][asked]))
        besides = {
            name: _jackknife(fixed[name]) * subjects + float(modelled[name].var(ddof=1))
            for name in metrics
        }
        result[subset] = forecast_weighted(
            predictions, own, base, weights, spread, metrics=metrics, besides=besides
        )
    return result


def forecast_recalibrated(
    old: Side,
    new: Side,
    labels: Indices,
    spread: Spread,
    *,
    subsets: Subsets,
    beside: Found,
) -> Found:
    """By subset, accuracy and F1 macro that the filter's probabilities lead to expect.

    The interval also has the variance of labels of so many new images, and that of both methods.

    Args:
        old: Of the labelled images.
        new: Of the others.
        labels: (N,) places of the old images' classes.
        spread: Of the intervals.
        subsets: Of the images.
        beside: What `forecast_reweighted` said.
    """
    assert old.probabilities is not None
    assert new.probabilities is not None
    base = _left_out(old.groups, spread)
    many = old.many(), new.many()
    ratios = [density_ratio(*many, one, penalty=_MANY_PENALTY) for one in base]
    honest = [recalibrate(old.probabilities, labels, one, new.probabilities) for one in ratios]
    truth = np.eye(old.probabilities.shape[1])[labels]
    rng = np.random.default_rng(spread.seed)
    drawn = [_drawn(honest[0], rng) for _ in range(_DRAWS)]
    result: Found = {}
    for subset, (own, asked) in subsets.items():
        predicted = new.probabilities[asked].argmax(1)
        then = expected_scores([one[asked] for one in honest], predicted)
        chance = expected_scores([one[asked] for one in drawn], predicted)
        before = old.probabilities[own].argmax(1)
        now = expected_scores([truth[own] * one[own, None] for one in base], before)
        images, other = effective(ratios[0][own]), beside[subset]
        result[subset] = {}
        for name, one in then.items():
            both = [one[0], other[name].value.value]
            variance = float(np.nanvar(chance[name])) + float(np.var(both, ddof=1))
            forecast = _forecast(one, now[name], base, spread, variance, images=images)
            result[subset][name] = forecast
    return result


def _left_out(groups: Sequence[str], spread: Spread) -> Floats:
    """Shape (1 + G, N): all images, then all without each part of their subjects."""
    made = replicates(groups, spread)
    return made.weights[: 1 + len(made.sizes)]


def _forecast(
    then: Floats,
    now: Floats,
    base: Floats,
    spread: Spread,
    besides: float,
    *,
    images: float,
) -> Forecast:
    """From a metric (1 + G,) on new and old images as each part of the old ones is left out."""
    sizes = (base[1:] == 0).sum(1).astype(np.float64)
    alone = np.full(len(sizes), np.nan)
    value, change = (
        estimate_difference(
            np.concatenate([one, alone]),
            sizes,
            confidence=spread.confidence,
            besides=[(besides, _MANY)],
        )
        for one in (then, then - now)
    )
    if value.low is not None and value.high is not None:
        value = Estimate(value.value, max(value.low, 0.0), min(value.high, 1.0))
    return Forecast(None if np.isnan(now[0]) else float(now[0]), value, change, images)


def _jackknife(values: Floats) -> float:
    """The variance of a metric (1 + G,) whose parts are left out in turn."""
    count = len(values) - 1
    return float((count - 1) / count * ((values[1:] - values[0]) ** 2).sum())


def _drawn(probabilities: Floats, rng: np.random.Generator) -> Floats:
    """(N, K) one class of each image, drawn by its probabilities."""
    above = probabilities.cumsum(1) > rng.uniform(size=(len(probabilities), 1))
    above[:, -1] = True
    return np.asarray(np.eye(probabilities.shape[1])[above.argmax(1)])


def expected_scores(truths: Sequence[Floats], predicted: Indices) -> dict[str, Floats]:
    """Metrics (R,) by name from shares of classes (R, N, K) against predicted classes (N,)."""
    size = truths[0].shape[1]
    answers = np.eye(size)[predicted]
    counts = np.stack([one.T @ answers for one in truths])
    occurring = np.where(counts.sum(2) > _OCCURS, f1(counts), np.nan)
    return {"f1_macro": over_classes(occurring), "accuracy": accuracy(counts)}


def _logs(probabilities: Floats) -> Floats:
    logs = np.log(np.clip(probabilities, _LEAST_LOG, 1))
    return np.asarray(logs - logs.mean(1, keepdims=True))


def recalibrate(probabilities: Floats, labels: Indices, weights: Floats, asked: Floats) -> Floats:
    """What the asked probabilities (M, K) are worth, from labels (N,) under weights (N,).

    By a temperature and a bias for each class, as likely as can be, drawn toward none by a ridge.
    """
    logs, size = _logs(probabilities), probabilities.shape[1]
    counts, truth = weights / weights.mean(), np.eye(size)[labels]

    def loss(at: Floats) -> tuple[float, Floats]:
        scores = logs * (1 + at[0]) + at[1:]
        missed = logsumexp(scores, axis=1) - (scores * truth).sum(1)
        apart = counts[:, None] * (softmax(scores, axis=1) - truth)
        slope = np.append((apart * logs).sum(), apart.sum(0))
        return float(counts @ missed + _PENALTY / 2 * at @ at), slope + _PENALTY * at

    found = minimize(loss, np.zeros(size + 1), jac=True, method="BFGS").x
    # Nothing is known of a class that no label names.
    shares = softmax(_logs(asked) * (1 + found[0]) + found[1:], axis=1) * (truth.sum(0) > 0)
    return np.asarray(shares / shares.sum(1, keepdims=True))
