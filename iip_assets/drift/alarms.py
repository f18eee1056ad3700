"""Alarms over the stream of batches that may be looked at after every batch.

Two tests share the error level; both hold it however often and however long one looks.

- Each batch against all before it, for a sudden change: a permutation test of subjects for all
  features at once (Westfall and Young 1993). After S subjects beyond the first batch's A the share
  S / (A + S) of its level is spent, so all batches together spend no more than it.
- Wealth that bets on the rank of each subject among all before it, for changes that are spread
  over batches. While nothing changes these ranks are uniform (Vovk, Gammerman and Shafer 2005), and
  wealth from 1 on grows beyond 1 / level with a probability of no more than the level (Ville
  1939). Bets are begun anew with every batch b with a share 1 / (b (b + 1)) of the capital: begun
  once, they lose in a long quiet time what a late change would have to win back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import polars as pl

from iip_assets.drift.columns import WORDS, rounded
from iip_assets.metrics.intervals import LEAST_SUBJECTS, share_estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iip_assets.drift.streams import Floats, Indices, Stream, Streams

    Flags = NDArray[np.bool_]

# Permutations are so many times the fewest with which a batch could be called out, up to the
# most. From some thirty batches on these are too few, and the wealth alone gives alarms.
_TIMES, _MOST_DRAWS, _AT_ONCE = 2, 50_000, 1000
# What the bets are on, and the share of each that is dealt out evenly at every step.
_EXPERTS, _JUMP = np.array([-1.0, 0.0, 1.0]), 0.01
# A of a smaller first batch, after which the next would spend nearly all.
_LEAST_FIRST = 50

HISTORY = {
    **dict.fromkeys(("feature", "part", "batch"), pl.String()),
    **dict.fromkeys(("value", "low", "high", "shift", "evidence"), pl.Float64()),
    "n_subjects": pl.Int64(),
}
ALARMS = {
    **dict.fromkeys(("feature", "part", "since", "alarmed_in", "test"), pl.String()),
    **dict.fromkeys(("before", "after", "shift", "evidence"), pl.Float64()),
    **dict.fromkeys(("n_before", "n_after"), pl.Int64()),
}


def alarm_tables(
    followed: Streams, *, level: float, confidence: float, seed: int
) -> dict[str, pl.DataFrame]:
    """The tables `history`, a row a stream and batch, and `alarms`, a row a stream.

    `evidence` is how many times what an alarm takes, up to that batch: 1 and more is an alarm.
    `since` is the batch from which on values are others, `alarmed_in` the one that made it sure,
    `test` is `batch` or `stream`; all null without an alarm. `shift` is in standard deviations of
    the values before.

    Args:
        followed: Of `drift_streams`.
        level: The probability of any alarm, ever, while nothing changes.
        confidence: Of the intervals.
        seed: Of the permutations, and of what breaks ties of ranks.
    """
    batches, streams = followed.batches, followed.streams
    sudden = batch_evidence(followed, level=level / 2, seed=seed)
    parts = [sum(other.feature == one.feature for other in streams) for one in streams]
    n_features = len({one.feature for one in streams})
    history, alarms = [], []
    for place, stream in enumerate(streams):
        share = level / 2 / n_features / parts[place]
        slow = stream_evidence(stream, batches, level=share, seed=seed)
        head = {"feature": stream.feature, "part": stream.part}
        best = np.maximum(sudden[place], slow.evidence)
        for batch in range(len(followed.names)):
            here = (batches == batch) & np.isfinite(stream.values)
            if here.any():
                row = _summary(stream, here, confidence)
                row["shift"] = _shift(stream, batches < batch, here)
                row["evidence"] = rounded(float(best[: batch + 1].max()))
                history.append(head | row | {"batch": followed.names[batch]})
        alarms.append(head | _alarm(stream, followed, sudden[place], slow))
    found = pl.DataFrame(alarms, schema=ALARMS)
    # Of what is sure alike, what moved farther comes first.
    order = [pl.col("evidence").clip(upper_bound=1), pl.col("shift").abs().fill_null(0)]
    found = found.sort(*order, "feature", "part", descending=[True, True, False, False])
    return {"history": pl.DataFrame(history, schema=HISTORY), "alarms": found}


def batch_evidence(followed: Streams, *, level: float, seed: int) -> Floats:
    """Shape (streams, batches): how many times what an alarm takes each batch alone shows.

    The level of the batch over the adjusted p-value; 0 for the first batch and for one of fewer
    than five subjects.
    """
    table = np.array([one.values for one in followed.streams]).T.reshape(len(followed.batches), -1)
    found = np.zeros((table.shape[1], len(followed.names)))
    sizes = np.bincount(followed.batches, minlength=len(followed.names))
    later = sizes.cumsum() - sizes[0]
    shares = later / (max(sizes[0], _LEAST_FIRST) + later)
    for batch in range(1, len(followed.names)):
        spent = level * (shares[batch] - shares[batch - 1])
        among = followed.batches <= batch
        newest = followed.batches[among] == batch
        if newest.sum() < LEAST_SUBJECTS:
            continue
        draws = min(_MOST_DRAWS, math.ceil(_TIMES / spent))
        rng = np.random.default_rng([seed, batch])
        p = _adjusted(table[among], newest, draws, rng)
        found[:, batch] = spent / p
    return found


def _adjusted(table: Floats, newest: Flags, draws: int, rng: np.random.Generator) -> Floats:
    """Adjusted p-values of each column (S, C): that any of them differs as much by chance."""
    known = np.isfinite(table)
    centre = np.where(known, table, 0).sum(0) / np.maximum(known.sum(0), 1)
    centred = np.where(known, table - centre, 0)
    spread = np.sqrt((centred**2).sum(0) / np.maximum(known.sum(0), 1))

    def distance(chosen: Floats) -> Floats:
        """Of the chosen subjects (R, S) from all, in standard errors (R, C)."""
        n, total = chosen @ known, known.sum(0)
        error = spread * np.sqrt(n * (total - n) / np.maximum(total, 1))
        usable = (error > 0) & (n >= LEAST_SUBJECTS) & (total - n >= LEAST_SUBJECTS)
        far: Floats = np.where(usable, np.abs(chosen @ centred) / np.where(usable, error, 1), 0)
        return far

    seen = distance(newest[None].astype(np.float64))[0]
    larger = np.zeros(len(seen))
    size = int(newest.sum())
    for first in range(0, draws, _AT_ONCE):
        count = min(_AT_ONCE, draws - first)
        order = rng.random((count, len(newest))).argpartition(size - 1, axis=1)[:, :size]
        chosen = np.zeros((count, len(newest)))
        np.put_along_axis(chosen, order, 1.0, axis=1)
        largest = np.sort(distance(chosen).max(1))
        # A tie within rounding is no smaller.
        larger += count - np.searchsorted(largest, seen * (1 - 1e-9), side="left")
    return (1 + larger) / (1 + draws)


@dataclass(frozen=True)
class Slow:
    """What bets on ranks show.

    Attributes:
        evidence: Shape (batches,), how many times what an alarm takes, the most up to each batch.
        since: Place of the batch whose bets won most when it first was enough.
    """

    evidence: Floats
    since: int


def stream_evidence(stream: Stream, batches: Indices, *, level: float, seed: int) -> Slow:
    """The evidence of one stream, whose subjects came with these batches (S,)."""
    known = np.isfinite(stream.values)
    wealth = bet_on_ranks(conformal_p_values(stream, seed=seed), batches[known])
    starts = np.arange(1, len(wealth) + 1)
    # What no batch has bet yet is kept.
    total = (wealth / (starts * (starts + 1))[:, None]).sum(0) + 1 / (len(wealth) + 1)
    total = np.maximum.accumulate(total) * level
    evidence = np.zeros(int(batches.max()) + 1)
    np.maximum.at(evidence, batches[known], total)
    at = int((total >= 1).argmax())
    return Slow(np.maximum.accumulate(evidence), int(wealth[:, at].argmax()))


def conformal_p_values(stream: Stream, *, seed: int) -> Floats:
    """Shape (n,) of the known values: the share of those so far that are larger, ties at random."""
    values = stream.values[np.isfinite(stream.values)]
    name = crc32(f"{stream.feature}\0{stream.part}".encode())
    ties = np.random.default_rng([seed, name]).random(len(values))
    counts = [
        ((before := values[:place]) > value).sum() + tie * ((before == value).sum() + 1)
        for place, (value, tie) in enumerate(zip(values, ties, strict=True))
    ]
    return np.array(counts) / np.arange(1, len(values) + 1)


def bet_on_ranks(p_values: Floats, batches: Indices) -> Floats:
    """Shape (B, n): what 1 that is bet from each batch on has come to after each p-value (n,).

    The simple jumper martingale (Vovk, Gammerman and Shafer 2005), as MAPIE's OnlineMartingaleTest
    has it, which is far slower.
    """
    bets = np.full((int(batches.max()) + 1, len(_EXPERTS)), 1 / len(_EXPERTS))
    found = np.ones((len(bets), len(p_values)))
    for place, (p, batch) in enumerate(zip(p_values, batches, strict=True)):
        begun = bets[: batch + 1]
        mixed = (1 - _JUMP) * begun + _JUMP * begun.mean(1, keepdims=True)
        bets[: batch + 1] = mixed * (1 + _EXPERTS * (p - 0.5))
        found[:, place] = bets.sum(1)
    return found


def _alarm(stream: Stream, followed: Streams, sudden: Floats, slow: Slow) -> dict[str, Any]:
    """The row of a stream: since when it is another, by which test, and what changed."""
    both = np.maximum(sudden, slow.evidence)
    sure = np.flatnonzero(both >= 1)
    newest = len(followed.names) - 1
    alarmed = int(sure[0]) if len(sure) else newest
    by_batch = sudden[alarmed] >= 1
    since = alarmed if by_batch or not len(sure) else slow.since
    known = np.isfinite(stream.values)
    before, after = known & (followed.batches < since), known & (followed.batches >= since)
    found: dict[str, Any] = dict.fromkeys(("since", "alarmed_in", "test"))
    if len(sure):
        names = followed.names
        found = {"since": names[since], "alarmed_in": names[alarmed]}
        found["test"] = "batch" if by_batch else "stream"
    return found | {
        **{"before": _mean(stream.values[before]), "after": _mean(stream.values[after])},
        "shift": _shift(stream, before, after),
        "evidence": rounded(float(both.max())),
        **{"n_before": int(before.sum()), "n_after": int(after.sum())},
    }


def _mean(values: Floats) -> float | None:
    return rounded(float(values.mean())) if len(values) else None


def _shift(stream: Stream, before: Flags, after: Flags) -> float | None:
    first = stream.values[before & np.isfinite(stream.values)]
    then = stream.values[after]
    if len(first) < 2 or not len(then) or not first.std():
        return None
    return rounded(float((then.mean() - first.mean()) / first.std()))


def _summary(stream: Stream, here: Flags, confidence: float) -> dict[str, Any]:
    """Mean or share of a batch, with its interval over subjects."""
    from scipy.special import stdtrit

    values = stream.values[here]
    n, mean = len(values), float(values.mean())
    low = high = None
    if stream.feature in WORDS:
        found = share_estimate(values, np.ones(n), confidence=confidence)
        low, high = found.low, found.high
    elif n >= LEAST_SUBJECTS:
        half = float(stdtrit(n - 1, (1 + confidence) / 2)) * float(values.std(ddof=1)) / n**0.5
        low, high = rounded(mean - half), rounded(mean + half)
    return {"value": rounded(mean), "low": low, "high": high, "n_subjects": n}
