"""The highest threshold at which recall is at least a floor, with confidence 1 - delta.

Learn then test (Angelopoulos et al. 2021, https://arxiv.org/abs/2110.01052): each threshold of a
grid that was fixed beforehand has a p-value of "more is lost than allowed", and fixed-sequence
testing from the loosest threshold on needs no correction for their number. MAPIE does the testing.
The p-values are those of betting (Waudby-Smith and Ramdas 2024, https://arxiv.org/abs/2010.09686):
a subject's loss lies anywhere in 0 to 1, and losses that vary little, such as shares of pixels,
show more than the Hoeffding-Bentkus inequality sees; benchmarks/guarantee.py has both.

A subject is the unit, never an image: images of one person resemble each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

THRESHOLDS: Floats = np.concatenate([np.geomspace(1e-4, 0.005, 18)[:-1], np.arange(1, 200) / 200])
"""Fixed beforehand, and fine, as it costs nothing. At 0 all passes, which is no promise."""

# Of simulated trials: more than the 0.8 that is told, as recall is guessed from few subjects.
_POWER = 0.95
_TRIALS = 200
# Of what one has: whoever bets all is ruined by the first subject that loses all.
_STAKE = 0.99
_MOST_SUBJECTS = 10_000


@dataclass(frozen=True)
class SubsetResult:
    """What the calibration subjects of one subset say.

    Attributes:
        n_subjects: How many there are.
        recall: Their mean recall at the threshold, or at the loosest; None without subjects.
        p_value: Of the recall being below the floor there.
        reason: Why it is refused; empty where granted.
        more_subjects: With how many more it would be granted in eight of ten cases; None: never.
    """

    n_subjects: int
    recall: float | None
    p_value: float
    reason: str
    more_subjects: int | None


@dataclass(frozen=True)
class GuaranteeResult:
    """The highest threshold at which recall reaches the floors that are granted; None: none is."""

    threshold: float | None
    subsets: tuple[SubsetResult, ...]


def subject_losses(losses: Floats, subjects: Sequence[str], *, seed: int = 0) -> Floats:
    """(G, T) each subject's mean loss, from losses (N, T) of images and the subject of each.

    Bets are placed on one subject after another, so their order must not come from the losses: it
    is drawn.
    """
    names, owners = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), losses.shape[1]))
    np.add.at(sums, owners, losses)
    means = sums / np.bincount(owners, minlength=len(names))[:, None]
    return np.asarray(np.random.default_rng(seed).permutation(means))


def rejected(scores: Floats, thresholds: Floats = THRESHOLDS) -> Floats:
    """(N, T) 1 where an image's score (N,) is below the threshold (T,)."""
    return (scores[:, None] < thresholds).astype(np.float64)


def guarantee(
    losses: Sequence[Floats],
    floors: Sequence[float],
    *,
    delta: float,
    thresholds: Floats = THRESHOLDS,
    seed: int = 0,
) -> GuaranteeResult:
    """The highest threshold at which no subset's mean loss exceeds 1 - its floor.

    A subset of too few subjects, who would not show it even if none of them lost anything, is
    refused and left out: that hangs on their number alone, so what is said of the others holds. All
    others hold at once with confidence 1 - delta: a threshold is valid if every one rejects, so the
    largest p-value counts (intersection-union, Berger 1982) and their number costs nothing.

    Args:
        losses: Of each subset (G, T), as `subject_losses` gives them; they grow with the threshold.
        floors: The least recall of each.
        delta: The chance that a promise is granted though it does not hold.
        thresholds: (T,) rising, fixed before the losses were seen.
        seed: Of the simulated subjects behind `more_subjects`.
    """
    from mapie.risk_control import control_fwer

    alphas = [1 - floor for floor in floors]
    enough = np.array(
        [
            betting_p_values(np.zeros((len(one), 1)), alpha, delta)[0] <= delta
            for one, alpha in zip(losses, alphas, strict=True)
        ],
        dtype=bool,
    )
    if not losses:
        return GuaranteeResult(None, ())
    pairs = zip(losses, alphas, strict=True)
    p_values = np.stack([betting_p_values(one, alpha, delta) for one, alpha in pairs])
    largest = p_values[enough].max(axis=0, initial=0 if enough.any() else 1)
    valid = control_fwer(largest, delta, fwer_method="fixed_sequence")
    threshold = float(thresholds[valid[-1]]) if len(valid) else None
    place = 0 if threshold is None else int(valid[-1])
    power = 1 - (1 - _POWER) / max(int((p_values[:, 0] > delta).sum()), 1)
    subsets = []
    for one, floor, p_value, many in zip(losses, floors, p_values[:, place], enough, strict=True):
        recall = float(1 - one[:, place].mean()) if len(one) else None
        reason = ""
        more: int | None = 0
        if not many or (threshold is None and p_value > delta):
            more = _more_subjects(one[:, 0], 1 - floor, delta, power=power, seed=seed)
            reason = _refusal(len(one), recall, floor, more)
        elif threshold is None:
            reason = "it would be granted alone, but another promise of the model is refused"
        subsets.append(SubsetResult(len(one), recall, float(p_value), reason, more))
    return GuaranteeResult(threshold, tuple(subsets))


def betting_p_values(losses: Floats, alpha: float, delta: float) -> Floats:
    """(T,) p-values of "the mean loss is alpha or more", from losses (G, T) in [0, 1].

    A bet on each subject after the other that it loses less than alpha: whoever bets cannot win if
    it does not, and has 1 / p at some time with a chance of at most p (Ville 1939). The stake is
    that of Waudby-Smith and Ramdas, equation 26, from the losses before; it does not depend on
    alpha, so a stricter floor never has a smaller p-value.
    """
    count = np.arange(1, len(losses) + 1)[:, None]
    means = (0.5 + losses.cumsum(axis=0)) / (count + 1)
    variances = (0.25 + ((losses - means) ** 2).cumsum(axis=0)) / (count + 1)
    before = np.concatenate([np.full((1, losses.shape[1]), 0.25), variances])[:-1]
    stakes = np.minimum(_STAKE, np.sqrt(2 * np.log(1 / delta) / (max(len(losses), 1) * before)))
    won = np.log1p(stakes * (alpha - losses)).cumsum(axis=0)
    return np.asarray(np.exp(-won.max(axis=0, initial=0)))


def _more_subjects(
    losses: Floats, alpha: float, delta: float, *, power: float, seed: int
) -> int | None:
    """How many more subjects beside these losses (G,) would show a mean loss below alpha.

    They are drawn from these and from 2 / alpha imagined ones of whom one is lost: of three
    subjects without a loss nobody should conclude that there never is one.
    """
    if not alpha:
        return None  # no sample shows that nothing is ever lost
    weight = len(losses) + 2 / alpha
    if (losses.sum() + 1) / weight >= alpha:
        return None
    values = np.concatenate([losses, [0.0, 1.0]])
    chances = np.array([1.0] * len(losses) + [2 / alpha - 1, 1.0]) / weight

    def enough(more: int) -> bool:
        rng = np.random.default_rng(seed)
        drawn = rng.choice(values, size=(more, _TRIALS), p=chances)
        seen = np.concatenate([np.repeat(losses[:, None], _TRIALS, axis=1), drawn])
        p_values = betting_p_values(rng.permuted(seen, axis=0), alpha, delta)
        return bool((p_values <= delta).mean() >= power)

    low, high = 0, 1
    while not enough(high):
        low, high = high, 2 * high
        if low >= _MOST_SUBJECTS:
            return None
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _refusal(n_subjects: int, recall: float | None, floor: float, more: int | None) -> str:
    if recall is None:
        return "no calibration subject is in it"
    seen = f"recall {recall:.3f} of {n_subjects} subjects"
    if more is not None:
        return f"{seen} does not yet show {floor:g}"
    near = "below" if recall < floor else "too near"
    return f"{seen} is {near} {floor:g}: more subjects will not mend it, a better model may"
