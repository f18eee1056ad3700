"""What each remedy brings to the group that fares worst, and what it costs all: the trade-off.

Seeds are averaged, and intervals are over subjects. How far the seeds of one training lie apart
without any remedy is what choosing among seeds brings, which is free.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.functional import weighted_mean
from iip_assets.metrics.intervals import (
    Intervals,
    Replicates,
    estimate,
    estimate_difference,
    replicates,
)
from iip_assets.metrics.scores import segmenter_scores
from iip_assets.models.tasks import FILTER, SEGMENTER

Floats = NDArray[np.float64]

NONE = "none"
"""The training that no remedy changes."""

NOT_DEPLOYED = {
    "threshold_optimizer": "it asks for the group of each image when it decides",
    "reductions": "it is a mixture of logistic regressions, drawn from at each decision",
}
"""Remedies that stand in the table to compare, and why no filter is made of them."""

MEASURES = ("overall", "worst", "gap")
"""Of a trial: all images' metric, the least of a group, how far the groups' lie apart."""

METRICS = {
    FILTER.name: ("accuracy of the decision on all images", "recall of usable images"),
    SEGMENTER.name: ("mean IoU of all images", "mean IoU"),
}
"""By model the metric of all images, and that of a group."""

Metric = Callable[[Sequence[float], NDArray[np.bool_] | None, Floats], Floats]
"""(R,) of a trial's answer, of all images or of those of a group, under weights (R, N)."""

ENDS = ("", "_low", "_high", "_least", "_largest", "_change", "_change_low", "_change_high")
"""Of a measure: the mean over seeds with its interval, the seeds' range, and the change."""

COLUMNS = [one + end for one in MEASURES for end in ENDS]


def tradeoff_tables(
    answers: pl.DataFrame, judged: pl.DataFrame, metric: Metric, intervals: Intervals
) -> dict[str, pl.DataFrame]:
    """The tables `trials`, a row a trial, and `tradeoff`, a row for each remedy and strength.

    Args:
        answers: Trials with their `answer`, those without a remedy first.
        judged: The images that they are about.
        metric: What an answer is worth.
        intervals: How they are made.
    """
    made = replicates(judged["group_id"].to_list(), intervals)
    groups = judged.filter("compared")["group"].unique().sort().to_list()
    members = {name: (judged["group"] == name).fill_null(False).to_numpy() for name in groups}
    found = [_measures(one, members, metric, made) for one in answers["answer"]]
    values = np.stack([one for one, _ in found])
    trials = answers.select(
        *("model", "remedy", pl.col("strength").cast(pl.Float64), "seed"),
        pl.Series("worst_group", [name for _, name in found]),
        *(pl.Series(name, values[:, place, 0]) for place, name in enumerate(MEASURES)),
    )
    points = trials.with_row_index().group_by("model", "remedy", "strength", maintain_order=True)
    tradeoff = points.agg(
        pl.col("worst_group").mode(maintain_order=True).first(),
        pl.len().cast(pl.Int64).alias("seeds"),
        "index",
    )
    none, *_ = places = tradeoff["index"].to_list()
    rows = [_estimates(values[one], values[none], made, intervals) for one in places]
    tradeoff = tradeoff.drop("index").with_columns(
        pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.Float64()), orient="row"),
        groups=pl.lit(groups, pl.List(pl.String)),
        n_images=pl.lit(judged.height, pl.Int64),
        n_subjects=pl.lit(len(set(judged["group_id"])), pl.Int64),
    )
    front = pareto(tradeoff["overall"].to_numpy(), tradeoff["worst"].to_numpy())
    return {"trials": trials, "tradeoff": tradeoff.with_columns(pareto=pl.Series(front))}


def passing_metric(usable: NDArray[np.bool_]) -> Metric:
    """Right decisions of all images, and the share of a group's usable ones that pass."""

    def metric(answer: Sequence[float], group: NDArray[np.bool_] | None, weights: Floats) -> Floats:
        passes = np.array(answer)
        if group is None:
            return weighted_mean(np.where(usable, passes, 1 - passes), weights)
        own = group & usable
        return weighted_mean(passes[own], weights[:, own])

    return metric


def pixel_metric(classes: Sequence[str]) -> Metric:
    """The mean IoU, from counts of pixels of each image, (N K K) in a row."""

    def metric(answer: Sequence[float], group: NDArray[np.bool_] | None, weights: Floats) -> Floats:
        counts = np.array(answer).reshape(weights.shape[1], len(classes), len(classes))
        own = np.ones(len(counts), bool) if group is None else group
        return segmenter_scores(counts[own], weights[:, own], classes)["mean_iou"]

    return metric


def _measures(
    answer: Sequence[float],
    members: Mapping[str, NDArray[np.bool_]],
    metric: Metric,
    made: Replicates,
) -> tuple[Floats, str]:
    """`MEASURES` (3, R) of one trial, and the group that fares worst among all images."""
    of_groups = [(metric(answer, own, made.weights), name) for name, own in members.items()]
    of_groups.sort(key=lambda pair: pair[0][0])
    (worst, name), (best, _) = of_groups[0], of_groups[-1]
    return np.stack([metric(answer, None, made.weights), worst, best - worst]), name


def _estimates(
    seeds: Floats, none: Floats, made: Replicates, intervals: Intervals
) -> list[float | None]:
    """`COLUMNS` from `MEASURES` of seeds (S, 3, R), and of those without a remedy."""
    row: list[float | None] = []
    for place, name in enumerate(MEASURES):
        values, before = seeds[:, place], none[:, place]
        make = estimate_difference if name == "gap" else estimate
        found = make(values.mean(0), made.sizes, confidence=intervals.confidence)
        change = estimate_difference(
            values.mean(0) - before.mean(0),
            made.sizes,
            confidence=intervals.confidence,
            # Equal seeds do not pair: under a remedy they draw otherwise.
            besides=[
                (float(one[:, 0].var(ddof=1)) / len(one), len(one) - 1)
                for one in (values, before)
                if len(one) > 1 and not np.array_equal(seeds, none)
            ],
        )
        row += [found.value, found.low, found.high, values[:, 0].min(), values[:, 0].max()]
        row += [change.value, change.low, change.high]
    return row


def pareto(first: Floats, second: Floats) -> NDArray[np.bool_]:
    """(N,) which points no other is better than: as good in both and better in one."""
    as_good = (first >= first[:, None]) & (second >= second[:, None])
    better = (first > first[:, None]) | (second > second[:, None])
    return np.asarray(~(as_good & better).any(1))
