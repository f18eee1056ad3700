"""What each remedy brings to the group that fares worst, and what it costs all: the trade-off.

Seeds are averaged, and intervals are over subjects. How far the seeds of one training lie apart
without any remedy is what choosing among seeds brings, which is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.fairness.trials import large_groups
from iip_assets.metrics.functional import weighted_mean
from iip_assets.metrics.intervals import (
    Estimate,
    Intervals,
    Replicates,
    estimate,
    estimate_difference,
    replicates,
)
from iip_assets.settings import EvaluationSettings

Floats = NDArray[np.float64]

NOT_DEPLOYED = {
    "threshold_optimizer": "it asks for the group of each image when it decides",
    "reductions": "it is a mixture of logistic regressions, drawn from at each decision",
}
"""Remedies that stand in the table to compare, and why no filter is made of them."""
MEASURES = ("accuracy", "worst_recall", "gap")
_CHANGES = ("accuracy", "gap")
_OWN = {"model": pl.String(), "remedy": pl.String(), "strength": pl.Float64()}
_TRIALS = {
    **{**_OWN, "seed": pl.Int64(), "worst_group": pl.String()},
    **dict.fromkeys(MEASURES, pl.Float64()),
}
_ENDS = [one + end for one in MEASURES for end in ("", "_low", "_high", "_least", "_largest")]
_ENDS += [f"{one}_change{end}" for one in _CHANGES for end in ("", "_low", "_high")]
_TRADEOFF = {
    **{**_OWN, "worst_group": pl.String(), "helped": pl.String(), "pareto": pl.Boolean()},
    **dict.fromkeys(_ENDS, pl.Float64()),
    **dict.fromkeys(("seeds", "n_images", "n_subjects"), pl.Int64()),
}


def tradeoff_tables(
    answers: pl.DataFrame, judged: pl.DataFrame, evaluation: EvaluationSettings
) -> dict[str, pl.DataFrame]:
    """The tables `trials`, a row a trial, and `tradeoff`, a row for each remedy and strength.

    Args:
        answers: Trials with what `passes`, those without a remedy first.
        judged: The images that they are about.
        evaluation: How intervals are made, and how many images make a group that is judged.
    """
    made = replicates(judged["group_id"].to_list(), evaluation)
    measure = partial(_measures, judged, large_groups(judged, evaluation.min_slice_images), made)
    size = {"n_images": judged.height, "n_subjects": judged["group_id"].n_unique()}
    trials, rows = [], []
    none: Floats | None = None
    for own, part in answers.group_by("model", "remedy", "strength", maintain_order=True):
        start = dict(zip(_OWN, (*own[:2], float(str(own[2]))), strict=True))
        found = [measure(np.array(one, dtype=np.float64)) for one in part["passes"]]
        seeds, worst = np.stack([values for values, _ in found]), [name for _, name in found]
        for seed, name, values in zip(part["seed"], worst, seeds[:, :, 0].tolist(), strict=True):
            measured = dict(zip(MEASURES, values, strict=True))
            trials.append({**start, "seed": seed, "worst_group": name, **measured})
        none = seeds if none is None else none
        row = {**start, "worst_group": max(sorted(set(worst)), key=worst.count), **size}
        row["helped"] = part["weak"][0] or None
        rows.append(row | {"seeds": len(seeds)} | _estimates(seeds, none, made, evaluation))
    front = pareto(*(np.array([row[one] for row in rows]) for one in MEASURES[:2]))
    rows = [{**row, "pareto": bool(one)} for row, one in zip(rows, front, strict=True)]
    return {
        "trials": pl.DataFrame(trials, schema=_TRIALS),
        "tradeoff": pl.DataFrame(rows, schema=_TRADEOFF),
    }


def _measures(
    judged: pl.DataFrame, groups: Sequence[str], made: Replicates, passes: Floats
) -> tuple[Floats, str]:
    """`MEASURES` (3, R) of one trial, and the group that fares worst among all images."""
    usable, group = judged["usable"].to_numpy(), judged["group"].to_numpy()
    recalls = {}
    for name in groups:
        own = usable & (group == name)
        recalls[name] = weighted_mean(passes[own], made.weights[:, own])
    order = sorted(groups, key=lambda name: recalls[name][0])
    worst, best = recalls[order[0]], recalls[order[-1]]
    accuracy = weighted_mean(np.where(usable, passes, 1 - passes), made.weights)
    return np.stack([accuracy, worst, best - worst]), order[0]


def _estimates(
    seeds: Floats, none: Floats, made: Replicates, intervals: Intervals
) -> dict[str, float | None]:
    """Means over seeds (S, 3, R) with intervals, and what differs from those without a remedy."""
    row: dict[str, float | None] = {}

    def put(name: str, found: Estimate) -> None:
        row.update({name: found.value, f"{name}_low": found.low, f"{name}_high": found.high})

    for place, name in enumerate(MEASURES):
        values, before = seeds[:, place], none[:, place]
        make = estimate_difference if name == "gap" else estimate
        put(name, make(values.mean(0), made.sizes, confidence=intervals.confidence))
        row |= {f"{name}_least": values[:, 0].min(), f"{name}_largest": values[:, 0].max()}
        if name in _CHANGES:
            change = estimate_difference(
                values.mean(0) - before.mean(0),
                made.sizes,
                confidence=intervals.confidence,
                # Equal seeds do not pair: under a remedy they draw otherwise.
                besides=[
                    (float(one[:, 0].var(ddof=1)) / len(one), len(one) - 1)
                    for one in (values, before)
                    if len(one) > 1 and seeds is not none
                ],
            )
            put(f"{name}_change", change)
    return row


def pareto(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """(N,) which points no other is better than: as good in both and better in one."""
    as_good = (first >= first[:, None]) & (second >= second[:, None])
    better = (first > first[:, None]) | (second > second[:, None])
    return np.asarray(~(as_good & better).any(1))
