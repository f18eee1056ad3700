"""Alarms over the stream of batches that may be looked at after every batch.

After each batch the newest one, the newest two, four, and so on are held against all subjects
before them: a sudden change shows in the first, one that is spread over batches in the longer ones.
A permutation test of subjects for all features and spans at once (Westfall and Young 1993) says how
often chance gives as much. After S subjects beyond the first batch's A the share 1 - (1 + S / A)^-½
of the level is spent, so that all looks together spend no more than it, however many there are
(alpha spending, Lan and DeMets 1983).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from iip_assets.drift.columns import COMPOSITION, WORDS, rounded
from iip_assets.drift.streams import Floats, Indices, Stream, Streams
from iip_assets.metrics.intervals import LEAST_SUBJECTS, share_estimate

# Permutations are so many times the fewest with which a batch could be called out. Level that would
# take more than the most is spent together with that of the next batches.
_TIMES, _MOST_DRAWS, _AT_ONCE = 2, 50_000, 1000
# As so many subjects the variance of all counts beside that of one side.
_SHRINK = 10
# A of a smaller first batch, after which the next would spend nearly all.
_LEAST_FIRST = 50

HISTORY = {
    **dict.fromkeys(("feature", "part", "batch"), pl.String()),
    **dict.fromkeys(("value", "low", "high", "evidence"), pl.Float64()),
    "n_subjects": pl.Int64(),
}
ALARMS = {
    **dict.fromkeys(("feature", "part", "since"), pl.String()),
    **dict.fromkeys(("before", "after", "shift", "evidence"), pl.Float64()),
    **dict.fromkeys(("n_before", "n_after"), pl.Int64()),
}


def alarm_tables(
    followed: Streams, *, level: float, confidence: float, seed: int
) -> dict[str, pl.DataFrame]:
    """The tables `history`, a row a stream and batch, and `alarms`, a row a stream.

    `evidence` is how many times what an alarm takes, up to that batch: 1 and more is an alarm.
    `since` is the batch from which on values are others; null without an alarm. `shift` is in
    standard deviations of the values before.

    Args:
        followed: Of `drift_streams`.
        level: The probability of any alarm, ever, while nothing changes.
        confidence: Of the intervals.
        seed: Of the permutations.
    """
    names, batches = followed.names, followed.batches
    looks = [_Look.nothing(len(followed.streams)), *_looks(followed, level=level, seed=seed)]
    evidence = np.maximum.accumulate([look.evidence for look in looks])
    history, alarms = [], []
    for place, stream in enumerate(followed.streams):
        head = {"feature": stream.feature, "part": stream.part}
        known = np.isfinite(stream.values)
        for batch, name in enumerate(names):
            here = stream.values[known & (batches == batch)]
            if len(here):
                row = {"batch": name, "evidence": rounded(evidence[batch, place])}
                history.append(head | row | _summary(stream, here, confidence))
        sure = np.flatnonzero(evidence[:, place] >= 1)
        look = looks[sure[0] if len(sure) else -1]
        since = int(look.since[place]) if len(sure) else len(names) - 1
        before, after = (stream.values[known & own] for own in (batches < since, batches >= since))
        row = {
            "since": names[since] if len(sure) else None,
            "before": rounded(float(before.mean())) if len(before) else None,
            "after": rounded(float(after.mean())) if len(after) else None,
            "shift": None,
            "evidence": rounded(evidence[-1, place]),
            **{"n_before": len(before), "n_after": len(after)},
        }
        if len(after) and len(before) > 1 and before.std():
            row["shift"] = rounded(float((after.mean() - before.mean()) / before.std()))
        alarms.append((min(evidence[-1, place], 1.0), look.distance[place], head | row))
    # Of what is sure alike who and with what comes first, as that may be why images measure
    # otherwise, and then what moved by more standard errors.
    alarms.sort(
        key=lambda one: (
            *(-one[0], one[2]["feature"] not in COMPOSITION, -rounded(one[1])),
            *(one[2]["feature"], one[2]["part"]),
        )
    )
    return {
        "history": pl.DataFrame(history, schema=HISTORY),
        "alarms": pl.DataFrame([row for *_, row in alarms], schema=ALARMS),
    }


@dataclass(frozen=True)
class _Look:
    """What is seen after a batch, of C streams.

    Attributes:
        evidence: Shape (C,), the level of this look over the adjusted p-value.
        distance: Shape (C,), of the span that is farthest, in standard errors.
        since: Shape (C,), the first batch of that span.
    """

    evidence: Floats
    distance: Floats
    since: Indices

    @staticmethod
    def nothing(streams: int) -> _Look:
        """Where there is too little to look at."""
        return _Look(np.zeros(streams), np.zeros(streams), np.zeros(streams, dtype=np.int64))


def _looks(followed: Streams, *, level: float, seed: int) -> list[_Look]:
    """After each batch but the first."""
    table = np.array([one.values for one in followed.streams]).T
    sizes = np.bincount(followed.batches, minlength=len(followed.names))
    seen = sizes.cumsum()
    shares = 1 - (1 + (seen - seen[0]) / max(sizes[0], _LEAST_FIRST)) ** -0.5
    looks, spent = [], 0.0
    for batch in range(1, len(sizes)):
        due = level * shares[batch] - spent
        starts = [batch + 1 - 2**power for power in range(batch.bit_length())]
        spans = {int(seen[batch] - seen[start - 1]): start for start in reversed(starts)}
        usable = sorted(size for size in spans if size >= LEAST_SUBJECTS)
        if not usable or due * _MOST_DRAWS < _TIMES:
            looks.append(_Look.nothing(table.shape[1]))
            continue
        spent += due
        newest = table[np.argsort(followed.batches, kind="stable")[: seen[batch]]]
        draws, rng = math.ceil(_TIMES / due), np.random.default_rng([seed, batch])
        p, distances = adjusted(newest, np.array(usable), draws, rng)
        since = np.array([spans[size] for size in usable])[distances.argmax(0)]
        looks.append(_Look(due / p, distances.max(0), since))
    return looks


def adjusted(
    table: Floats, sizes: Indices, draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """How far the last subjects of each column (S, C) are from all, and how often chance does that.

    Args:
        table: Shape (S, C), NaN where not known.
        sizes: Shape (W,), how many the last are, rising.
        draws: Of permutations.
        rng: Draws them.

    Returns:
        Adjusted p-values (C,) that any column differs as much in any span, and distances (W, C) of
        means in standard errors; 0 where one side has fewer than five known values.
    """
    known = np.isfinite(table)
    total = known.sum(0)
    centred = np.where(known, table - np.nansum(table, 0) / np.maximum(total, 1), 0)
    squares, pooled = centred**2, (centred**2).sum(0) / np.maximum(total, 1)

    def distance(chosen: Floats) -> Floats:
        n, sums, own = chosen @ known, chosen @ centred, chosen @ squares
        usable = (pooled > 0) & (n >= LEAST_SUBJECTS) & (total - n >= LEAST_SUBJECTS)
        error = np.zeros(n.shape)
        apart = np.zeros(n.shape)
        for count, of, square in ((n, sums, own), (total - n, -sums, squares.sum(0) - own)):
            mean = of / np.maximum(count, 1)
            # Each side has its own variance, as subjects with more images vary less; that of few
            # subjects is drawn toward the variance of all.
            spread = square - count * mean**2 + _SHRINK * pooled
            error += spread / (count + _SHRINK) / np.maximum(count, 1)
            apart = mean - apart
        return np.asarray(np.where(usable, abs(apart) / np.sqrt(np.where(usable, error, 1)), 0))

    last = np.arange(len(table))[::-1] < sizes[:, None]
    seen = distance(last.astype(np.float64))
    order = np.argsort(-seen.max(0), kind="stable")
    larger = np.zeros(len(order))
    for first in range(0, draws, _AT_ONCE):
        keys = rng.random((min(_AT_ONCE, draws - first), len(table)))
        limits = np.partition(keys, sizes - 1, axis=1)[:, sizes - 1].T
        spans = ((keys <= limit[:, None]).astype(np.float64) for limit in limits)
        farthest = np.max([distance(one) for one in spans], axis=0)[:, order]
        # The largest of each column and those that are less far (step-down); a tie within rounding
        # is no smaller.
        largest = np.maximum.accumulate(farthest[:, ::-1], axis=1)[:, ::-1]
        larger += (largest >= seen.max(0)[order] * (1 - 1e-9)).sum(0)
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate((1 + larger) / (1 + draws))
    return p, seen


def _summary(stream: Stream, values: Floats, confidence: float) -> dict[str, Any]:
    """Mean or share of a batch, with its interval over subjects."""
    from scipy.special import stdtrit

    n, mean = len(values), float(values.mean())
    low = high = None
    if stream.feature in WORDS:
        found = share_estimate(values, np.ones(n), confidence=confidence)
        low, high = found.low, found.high
    elif n >= LEAST_SUBJECTS:
        half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(values.std(ddof=1)) / n**0.5
        low, high = rounded(mean - half), rounded(mean + half)
    return {"value": rounded(mean), "low": low, "high": high, "n_subjects": n}
