"""Intervals of metrics over subjects, from how a metric varies when subjects are left out.

Images of one person resemble each other, so a metric is as uncertain as its subjects make it. Each
subject is left out once, and the variance is that of the jackknife over subjects (Bell and
McCaffrey 2002). A metric between 0 and 1 has Wilson's interval (1927) of as many independent images
as have that variance; a difference has the t-interval. A percentile bootstrap over subjects is too
narrow below some fifty of them; docs/intervals.md has the simulated coverage of both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_SUBJECTS = 5
"""Of fewer subjects there is no interval, and nothing is decided."""

TOO_FEW = f"too few for an interval, which takes {LEAST_SUBJECTS} subjects"
"""Said where a value has no interval."""

# More parts than these tell no more of a variance.
_MOST_PARTS = 500

# Differences below it are rounding.
_NOTHING = 1e-6

# How much the guess that all images of a subject are alike weighs against what is seen of it, in
# subjects. It matters where few subjects account for most of what was told wrong.
_GUESS = 0.25


class Intervals(Protocol):
    """How intervals are made; `EvaluationSettings` says it."""

    @property
    def resamples(self) -> int:
        """In how many parts subjects are left out at most."""
        ...

    @property
    def confidence(self) -> float:
        """How sure."""
        ...

    @property
    def seed(self) -> int:
        """Which of very many subjects are left out together."""
        ...


@dataclass(frozen=True)
class Estimate:
    """A metric's value with its interval; None where the data do not define it."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Replicates:
    """Weightings of N images under which a metric is computed to see how it varies.

    Attributes:
        weights: (1 + 2 G, N) all images, then all without each subject, then each subject alone.
        sizes: (G,) how many images each subject has.
    """

    weights: Floats
    sizes: Floats


def replicates(groups: Sequence[str], intervals: Intervals) -> Replicates:
    """The replicates of images by the subject of each.

    More than `resamples` subjects are put into so many parts, which then count as subjects. They
    depend on the subjects' names and not on the images' order.
    """
    names, places = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    parts = min(len(names), intervals.resamples, _MOST_PARTS)
    if parts < len(names):
        places = (np.random.default_rng(intervals.seed).permutation(len(names)) % parts)[places]
    alone = np.eye(parts)[:, places]
    weights = np.concatenate([np.ones((1, len(groups))), 1 - alone, alone])
    return Replicates(weights, alone.sum(1))


def estimate(
    values: Floats,
    sizes: Floats,
    *,
    confidence: float,
    largest: float = 1.0,
    subjects: float | None = None,
) -> Estimate:
    """The estimate of a metric between 0 and `largest`.

    Where every subject's value is the best or the worst there is, the interval is Wilson's of as
    many images as there are subjects.

    Args:
        values: (1 + 2 G,) the metric under the weights of `Replicates`.
        sizes: (G,) as there.
        confidence: How sure.
        largest: The largest value that the metric can have.
        subjects: On how many subjects it rests, where that are not those for whom it is defined.
    """
    found = _Variation.of(values / largest, sizes, subjects)
    if isinstance(found, Estimate):
        return _scaled(found, largest)
    share = min(max(found.value, 0.0), 1.0)
    n, error = found.subjects, found.standard_error
    if error and 0 < share < 1:
        guess = _GUESS * (1 - found.wrong / found.count) ** 2
        alike = error**2 / (share * (1 - share))
        n = (found.wrong + guess) / (found.wrong * alike + guess / found.subjects)
    low, high = wilson(share, max(n, 1.0), _quantile(found.freedom, confidence))
    return _scaled(Estimate(found.value, low, high), largest)


def estimate_difference(
    values: Floats,
    sizes: Floats,
    *,
    confidence: float,
    subjects: float | None = None,
    besides: Sequence[tuple[float, float]] = (),
) -> Estimate:
    """The estimate of a difference of two metrics of the same images.

    Where no subject tells the two apart it is 0 to 0.

    Args:
        values: As `estimate` takes them.
        sizes: Likewise.
        confidence: How sure.
        subjects: As there.
        besides: Variances that have another source than subjects, each with its degrees of freedom.
    """
    found = _Variation.of(values, sizes, subjects)
    if isinstance(found, Estimate):
        return found
    parts = [(_error_of_difference(found) ** 2, found.freedom), *besides]
    variance = sum(one for one, _ in parts)
    if not variance:
        return Estimate(found.value, found.value, found.value)
    # In shares of the sum, whose squares do not vanish where it is tiny.
    freedom = 1 / sum((one / variance) ** 2 / free for one, free in parts)
    half = _quantile(freedom, confidence) * math.sqrt(variance)
    return Estimate(found.value, found.value - half, found.value + half)


def chance_above(
    values: Floats, sizes: Floats, *, bound: float, subjects: float | None = None
) -> float | None:
    """The p-value of a difference being `bound` or more: small where it is surely less.

    Of a one-sided t-test; arguments as `estimate`. None where there is no interval.
    """
    from scipy.special import stdtr

    found = _Variation.of(values, sizes, subjects)
    if isinstance(found, Estimate):
        return None
    apart, error = found.value - bound, _error_of_difference(found)
    if not error:
        return 1.0 if apart >= 0 else 0.0
    return float(stdtr(found.freedom, apart / error))


def judgeable(n_images: int, n_subjects: int, least_images: int) -> bool:
    """Whether there is enough to say something about a slice: images, and subjects in them."""
    return n_images >= least_images and n_subjects >= LEAST_SUBJECTS


def holm(p_values: Floats) -> Floats:
    """Adjusted p-values (N,) of N questions, each to be held against alpha (Holm 1979).

    A question without an answer, NaN, is none. Not statsmodels', which collects garbage at each
    call: a second where much is loaded.
    """
    adjusted, known = np.full(len(p_values), np.nan), np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = np.arange(len(order), 0, -1) * p_values[order]
    adjusted[order] = np.maximum.accumulate(steps).clip(max=1)
    return adjusted


def share_estimate(hits: Floats, sizes: Floats, *, confidence: float) -> Estimate:
    """The estimate of a share of images, from each subject's images (G,) and those that count."""
    some = sizes > 0
    hits, sizes = hits[some], sizes[some]
    total, others = sizes.sum(), sizes.sum() - sizes
    if not total:
        return Estimate(None, None, None)
    without = np.divide(
        hits.sum() - hits, others, out=np.full(len(sizes), np.nan), where=others > 0
    )
    values = np.concatenate([[hits.sum() / total], without, hits / sizes])
    return estimate(values, sizes, confidence=confidence)


def mean_estimate(values: Floats, subjects: NDArray[Any], *, confidence: float) -> Estimate:
    """The estimate of a mean of values between 0 and 1, from value and subject of each image."""
    _, subject_of = np.unique(subjects, return_inverse=True)
    sums = np.bincount(subject_of, values).astype(np.float64)
    return share_estimate(sums, np.bincount(subject_of).astype(np.float64), confidence=confidence)


def shares_by_subject(
    words: Sequence[str], subjects: Sequence[str], *, confidence: float
) -> dict[str, Estimate]:
    """The share of images (N,) that has each word, from the word and the subject of each image."""
    names, word_of = np.unique(np.asarray(words, dtype=str), return_inverse=True)
    _, subject_of = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    sizes = np.bincount(subject_of).astype(np.float64)
    found = {}
    for place, name in enumerate(names):
        hits = np.bincount(subject_of[word_of == place], minlength=len(sizes)).astype(np.float64)
        found[str(name)] = share_estimate(hits, sizes, confidence=confidence)
    return found


def wilson(share: float, n: float, quantile: float) -> tuple[float, float]:
    """The score interval of a share seen in n independent draws (Wilson 1927).

    Unlike share ± quantile × standard error it stays within 0 and 1, and has a width at shares of
    0 and 1.
    """
    shrink = 1 + quantile**2 / n
    centre = (share + quantile**2 / (2 * n)) / shrink
    half = quantile / shrink * math.sqrt(share * (1 - share) / n + quantile**2 / (4 * n**2))
    # At the ends the bounds are exact, whatever rounding says.
    low = 0.0 if share == 0 else max(0.0, centre - half)
    high = 1.0 if share == 1 else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class _Variation:
    """How a metric varies by subject.

    Attributes:
        value: The metric of all images.
        standard_error: Of that value, by the jackknife.
        freedom: Degrees of freedom of the standard error.
        count: How many subjects were left out in turn.
        subjects: On how many the metric rests.
        wrong: As how many subjects of equal share those count who account for what is wrong.
    """

    value: float
    standard_error: float
    freedom: float
    count: int
    subjects: float
    wrong: float

    @staticmethod
    def of(values: Floats, sizes: Floats, subjects: float | None) -> _Variation | Estimate:
        """The variation, or the estimate without an interval where too few subjects tell it."""
        value, without, alone = values[0], values[1 : 1 + len(sizes)], values[1 + len(sizes) :]
        if np.isnan(value):
            return Estimate(None, None, None)
        apart = value - without
        if subjects is None:
            # Subjects whom the metric does not concern, as they have no image of its class.
            concerned = ~(np.isnan(alone) & (np.abs(apart) < _NOTHING))
            apart, alone, sizes = apart[concerned], alone[concerned], sizes[concerned]
        count = len(apart)
        resting = count if subjects is None else min(subjects, count)
        if count < LEAST_SUBJECTS or np.isnan(apart).any():
            return Estimate(float(value), None, None)
        squares = apart**2
        error = math.sqrt((count - 1) / count * squares.sum())
        wrong = squares if np.isnan(alone).any() else 1 - alone if value >= 1 / 2 else alone
        return _Variation(
            value=float(value),
            standard_error=error if error > _NOTHING else 0.0,
            freedom=max(min(_freedom(squares, sizes), resting - 1), 1.0),
            count=count,
            subjects=resting,
            # Where nothing is wrong in any subject alone, as between subjects, all take part.
            wrong=_participants(wrong) or count,
        )


def _error_of_difference(found: _Variation) -> float:
    """Its standard error; where all subjects agree, as if one of them might have said 0."""
    return found.standard_error or abs(found.value) / found.count


def _quantile(freedom: float, confidence: float) -> float:
    """Of Student's t, two-sided."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + confidence) / 2))


def _freedom(squares: Floats, sizes: Floats) -> float:
    """Degrees of freedom of a variance that is the sum of squares (G,) of subjects (Satterthwaite).

    Fewer than G - 1 where a few large subjects outweigh the others, or where a few account for
    most of what was seen to vary.
    """
    count, seen = len(squares), _participants(squares)
    # Subjects of unequal size are as many as between their number and that of equal ones that
    # would weigh as much: the harmonic mean of both covers best.
    expected = 2 / (1 / (count - 1) + 1 / max(_participants(sizes) - 1, _NOTHING))
    if 0 < seen < count - _NOTHING:
        expected = min(expected, 2 * count * seen / (count - seen))
    return expected


def _participants(parts: Floats) -> float:
    """As how many equal parts these count: (Σp)² / Σp², and none where all are 0."""
    squares = float((parts**2).sum())
    return float(parts.sum() ** 2 / squares) if squares > 0 else 0.0


def _scaled(found: Estimate, largest: float) -> Estimate:
    ends = (None if one is None else one * largest for one in (found.value, found.low, found.high))
    return Estimate(*ends)
