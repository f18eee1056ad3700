"""Simulated test sets whose true level is known, and how often an interval holds it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np

from iip_assets.metrics.intervals import (
    Estimate,
    estimate_difference,
    replicates,
    share_estimate,
)
from iip_assets.metrics.scored_predictions import (
    ScoredPredictions,
    score,
    scored_counts,
    scored_probabilities,
)
from iip_assets.settings import EvaluationSettings

CONFIDENCE = 0.95
SETTINGS = EvaluationSettings(confidence=CONFIDENCE)
SUBJECTS = (5, 7, 10, 20, 50, 200)
FEW = SUBJECTS[:-1]
LEVELS = (0.5, 0.8, 0.9, 0.97)
ALIKE = (0.0, 0.3, 0.7)
MEANS = ("share", "IoU", "IoU, some 0", "difference")
IMAGES = ("1", "5", "20", "1 to 20")

# How much of the variance of an IoU, level × (1 - level), there is between images.
_SPREAD = 1 / 9
_CLASSES = ("full", "partial", "none")


@dataclass(frozen=True)
class Cell:
    """A kind of test set.

    Attributes:
        metric: What is measured: `share`, `IoU`, `IoU, some 0`, `difference`, `macro F1`,
            `mean class IoU`.
        subjects: How many.
        images: Of each: a number, or from 1 to 20, most have few.
        alike: The intra-class correlation.
        level: The true value.
    """

    metric: str
    subjects: int
    images: str
    alike: float
    level: float


@dataclass(frozen=True)
class Coverage:
    """How often an interval held the truth: now, and by the percentile bootstrap as before.

    Attributes:
        cell: Of what.
        trials: How many had an interval.
        now: Share of these that hold the true value.
        missed_low: Share whose upper end lies below it.
        missed_high: Share whose lower end lies above it.
        width: Mean of the widths.
        before: Share that held it by the percentile bootstrap; None where not asked.
        before_width: Its mean width.
    """

    cell: Cell
    trials: int
    now: float
    missed_low: float
    missed_high: float
    width: float
    before: float | None
    before_width: float | None

    def row(self) -> dict[str, object]:
        """Flat, for JSON."""
        found = asdict(self)
        return {**found.pop("cell"), **found}


def grid() -> Iterator[Cell]:
    """All cells; scores and differences of fewer kinds of test sets than shares."""
    for images, alike, level, subjects in product(IMAGES, ALIKE, LEVELS, SUBJECTS):
        # One image of each subject is like no other.
        if images != "1" or not alike:
            yield Cell("share", subjects, images, alike, level)
    kinds = product(("IoU", "IoU, some 0"), ("1", "5", "1 to 20"), (0.0, 0.7), LEVELS, FEW)
    for metric, images, alike, level, subjects in kinds:
        if metric == "IoU" or level <= 0.8:
            yield Cell(metric, subjects, images, alike, level)
    for alike, level, subjects in product((0.0, 0.7), LEVELS, FEW):
        yield Cell("difference", subjects, "5", alike, level)
    for metric, level, subjects in product(("macro F1", "mean class IoU"), (0.8, 0.9), (10, 20)):
        yield Cell(metric, subjects, "1 to 20", 0.3, level)


def covered(cell: Cell, *, trials: int, seed: int, before: bool = False) -> Coverage:
    """How often the interval of a cell's metric holds its true value.

    The bootstrap takes its time, so that every fourth trial has one.
    """
    rng = np.random.default_rng(seed)
    truth, draw = _TRUTHS[cell.metric](cell), _DRAWS[cell.metric]
    now, was = [], []
    for trial in range(trials):
        one, other = draw(cell, rng, before and trial % 4 == 0)
        if one.low is None or one.high is None:
            continue
        now.append((one.low, one.high))
        if other is not None:
            was.append(other)
    ends = np.array(now).reshape(-1, 2)
    below, above = (ends[:, 1] < truth - 1e-12).mean(), (ends[:, 0] > truth + 1e-12).mean()
    old = np.array(was).reshape(-1, 2)
    held = (old[:, 0] <= truth + 1e-12) & (old[:, 1] >= truth - 1e-12)
    return Coverage(
        cell=cell,
        trials=len(ends),
        now=float(1 - below - above),
        missed_low=float(below),
        missed_high=float(above),
        width=float(np.diff(ends).mean()),
        before=float(held.mean()) if len(old) else None,
        before_width=float(np.diff(old).mean()) if len(old) else None,
    )


def sizes_of(cell: Cell, rng: np.random.Generator) -> np.ndarray:
    """(G,) how many images each subject has."""
    if cell.images != "1 to 20":
        return np.full(cell.subjects, int(cell.images))
    many = (rng.random(cell.subjects) < 0.15) * rng.integers(5, 15, cell.subjects)
    return np.minimum(rng.geometric(0.25, cell.subjects) + many, 20)


def levels_of(cell: Cell, rng: np.random.Generator, level: float, spread: float) -> np.ndarray:
    """(G,) each subject's own level, of a beta distribution of this share of the variance."""
    if not spread:
        return np.full(cell.subjects, level)
    size = 1 / spread - 1
    return np.clip(rng.beta(level * size, (1 - level) * size, cell.subjects), 1e-6, 1 - 1e-6)


def _bootstrap(hits: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> tuple[float, ...]:
    """The percentile interval over subjects, which was in use before."""
    drawn = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=300)
    tail = (1 - CONFIDENCE) / 2
    return tuple(np.quantile((drawn @ hits) / (drawn @ sizes), [tail, 1 - tail]))


Drawn = tuple[Estimate, tuple[float, ...] | None]


def _share(cell: Cell, rng: np.random.Generator, before: bool) -> Drawn:
    sizes = sizes_of(cell, rng)
    hits = rng.binomial(sizes, levels_of(cell, rng, cell.level, cell.alike))
    return _both(hits.astype(float), sizes.astype(float), rng, before)


def _both(hits: np.ndarray, sizes: np.ndarray, rng: np.random.Generator, before: bool) -> Drawn:
    found = share_estimate(hits, sizes, confidence=CONFIDENCE)
    return found, _bootstrap(hits, sizes, rng) if before else None


def _ious(cell: Cell, rng: np.random.Generator, failures: float) -> tuple[np.ndarray, np.ndarray]:
    """Sums (G,) of the images' IoUs, some of which are 0, and how many images there are."""
    sizes = sizes_of(cell, rng)
    own = levels_of(cell, rng, cell.level / (1 - failures), cell.alike * _SPREAD)
    within = 1 / ((1 - cell.alike) * _SPREAD) - 1
    one = np.repeat(own, sizes)
    scores = rng.beta(one * within, (1 - one) * within) * (rng.random(len(one)) >= failures)
    return np.add.reduceat(scores, np.cumsum(sizes) - sizes), sizes.astype(float)


def _iou(cell: Cell, rng: np.random.Generator, before: bool) -> Drawn:
    return _both(*_ious(cell, rng, 0.0), rng, before)


def _iou_some_zero(cell: Cell, rng: np.random.Generator, before: bool) -> Drawn:
    return _both(*_ious(cell, rng, 0.1), rng, before)


def _difference(cell: Cell, rng: np.random.Generator, before: bool) -> Drawn:
    """Of two models of equal level that four times of five are right or wrong together."""
    sizes = sizes_of(cell, rng)
    own = np.repeat(levels_of(cell, rng, cell.level, cell.alike), sizes)
    luck = rng.random((2, len(own)))
    luck[1] = np.where(rng.random(len(own)) < 0.8, luck[0], luck[1])
    change = (luck[1] < own).astype(float) - (luck[0] < own)
    groups = [str(one) for one in np.repeat(np.arange(cell.subjects), sizes)]
    made = replicates(groups, SETTINGS)
    values = made.weights @ change / made.weights.sum(1)
    found = estimate_difference(values, made.sizes, confidence=CONFIDENCE)
    sums = np.add.reduceat(change, np.cumsum(sizes) - sizes)
    return found, _bootstrap(sums, sizes.astype(float), rng) if before else None


def _filter(cell: Cell, rng: np.random.Generator) -> ScoredPredictions:
    sizes = sizes_of(cell, rng)
    groups = np.repeat(np.arange(cell.subjects), sizes)
    actual = rng.choice(3, size=len(groups), p=(0.5, 0.3, 0.2))
    right = rng.random(len(groups)) < np.repeat(levels_of(cell, rng, cell.level, cell.alike), sizes)
    said = np.where(right, actual, (actual + rng.integers(1, 3, len(groups))) % 3)
    ids = [str(one) for one in range(len(groups))]
    names = [str(one) for one in groups]
    return scored_probabilities(ids, names, actual, np.eye(3)[said], _CLASSES)


def _segmenter(cell: Cell, rng: np.random.Generator) -> ScoredPredictions:
    sizes = sizes_of(cell, rng)
    groups = np.repeat(np.arange(cell.subjects), sizes)
    own = np.repeat(levels_of(cell, rng, cell.level, cell.alike * _SPREAD), sizes)
    within = 1 / ((1 - cell.alike) * _SPREAD) - 1
    counts = np.zeros((len(groups), 3, 3))
    for index, pixels in enumerate((3000, 600, 150)):
        area = pixels * rng.lognormal(0, 0.3, len(groups))
        right = rng.beta(own * within, (1 - own) * within)
        counts[:, index, index] = area * right
        counts[:, index, (index + 1) % 3] = area * (1 - right)
    names = [str(one) for one in groups]
    ids = [str(one) for one in range(len(groups))]
    return scored_counts(ids, names, counts.round(), _CLASSES)


def _of_all(
    make: Callable[[Cell, np.random.Generator], ScoredPredictions], metric: str
) -> Callable[[Cell, np.random.Generator, bool], Drawn]:
    def draw(cell: Cell, rng: np.random.Generator, before: bool) -> Drawn:
        one = make(cell, rng)
        found = score(one, np.arange(len(one.image_ids)), SETTINGS).estimates[metric]
        if not before:
            return found, None
        names, places = np.unique(one.groups, return_inverse=True)
        drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=300)
        values = one.score(np.arange(len(places)), drawn[:, places].astype(float))[metric]
        tail = (1 - CONFIDENCE) / 2
        return found, tuple(np.nanquantile(values, [tail, 1 - tail]))

    return draw


def _of_many(
    make: Callable[[Cell, np.random.Generator], ScoredPredictions], metric: str
) -> Callable[[Cell], float]:
    """The true value, of a test set so large that it hardly varies."""

    def truth(cell: Cell) -> float:
        many = Cell(cell.metric, 100_000, cell.images, cell.alike, cell.level)
        one = make(many, np.random.default_rng(99))
        size = len(one.image_ids)
        return float(one.score(np.arange(size), np.ones((1, size)))[metric][0])

    return truth


_DRAWS: dict[str, Callable[[Cell, np.random.Generator, bool], Drawn]] = {
    "share": _share,
    "IoU": _iou,
    "IoU, some 0": _iou_some_zero,
    "difference": _difference,
    "macro F1": _of_all(_filter, "f1_macro"),
    "mean class IoU": _of_all(_segmenter, "mean_iou"),
}
_TRUTHS: dict[str, Callable[[Cell], float]] = {
    **dict.fromkeys(("share", "IoU", "IoU, some 0"), lambda cell: cell.level),
    "difference": lambda cell: 0.0,
    "macro F1": _of_many(_filter, "f1_macro"),
    "mean class IoU": _of_many(_segmenter, "mean_iou"),
}
