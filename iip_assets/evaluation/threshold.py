"""From what score on an image goes to the segmenter, and which images that lets pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.functional import weighted_mean
from iip_assets.metrics.intervals import Intervals, estimate, replicates
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import usable_score
from iip_assets.metrics.scores import Gate
from iip_assets.settings import ThresholdSettings

Floats = NDArray[np.float64]

_STEPS = 101

LEAST_OF_EACH = 5
"""With fewer usable or fewer unusable validation images the curve is luck."""

_SUMMARY = {
    "threshold": pl.Float64(),
    "cheapest": pl.Float64(),
    "at_most": pl.Float64(),
    "break_even": pl.Float64(),
    "cost": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "usable": pl.Int64(),
    "unusable": pl.Int64(),
    "subjects": pl.Int64(),
}


def gate_of(settings: ThresholdSettings) -> Gate:
    """What the filter should let pass, by the settings."""
    return Gate(settings.usable, settings.lost_iris_cost, settings.failed_segmentation_cost)


def filter_verdicts_tables(
    scores: pl.DataFrame,
    examples: pl.DataFrame,
    gate: Gate,
    intervals: Intervals,
    *,
    at_most: float | None = None,
) -> dict[str, pl.DataFrame]:
    """The tables `verdicts`, `curve` and `threshold`.

    The threshold is chosen on the validation images. `verdicts` has a row an image: `image_id`,
    `prob_<class>`, `predicted`, `usable_score` and `passes`.

    Args:
        scores: `image_id` and `prob_<class>` of every image.
        examples: From `examples.labelled_images`.
        gate: What the filter should let pass, and what errors cost.
        intervals: How they are made.
        at_most: The highest threshold that keeps promises and rate constraints; None: any does.
    """
    scored = scores.with_columns(usable_score=usable_score(gate.usable)).sort("image_id")
    known = examples.filter(pl.col("split") == "validation")
    held_out = scored.join(known.select("image_id", "label", "group_id"), on="image_id")
    is_usable = held_out["label"].is_in(list(gate.usable)).to_numpy().astype(bool)
    groups = held_out["group_id"].to_list()
    curve = cost_curve(
        is_usable, held_out["usable_score"].to_numpy(), groups, gate, intervals, besides=at_most
    )
    counts = {"usable": int(is_usable.sum()), "unusable": int((~is_usable).sum())}
    cheapest = threshold = choose_threshold(curve, gate, **counts)
    if at_most is not None and at_most < cheapest:
        allowed = curve.filter(pl.col("threshold") <= at_most)
        threshold = min(choose_threshold(allowed, gate, **counts), at_most)
    nearest = curve.sort((pl.col("threshold") - threshold).abs()).row(0, named=True)
    summary = {
        "threshold": threshold,
        "cheapest": cheapest,
        "at_most": at_most,
        "break_even": gate.break_even,
        **{end: nearest[end] for end in ("cost", "low", "high")},
        **counts,
        "subjects": len(set(groups)),
    }
    probabilities = [f"prob_{name}" for name in FILTER_CLASSES]
    shares = scored.select(probabilities).to_numpy()
    verdicts = scored.select(
        "image_id",
        *probabilities,
        pl.Series("predicted", [FILTER_CLASSES[place] for place in shares.argmax(1)], pl.String),
        "usable_score",
        passes=pl.col("usable_score") >= threshold,
    )
    return {
        "verdicts": verdicts,
        "curve": curve,
        "threshold": pl.DataFrame([summary], schema=_SUMMARY),
    }


def cost_curve(
    usable: NDArray[np.bool_],
    scores: Floats,
    groups: Sequence[str],
    gate: Gate,
    intervals: Intervals,
    *,
    besides: float | None = None,
) -> pl.DataFrame:
    """For thresholds from 0 to 1: `threshold`, `lost`, `failed`, `cost`, and its `low` and `high`.

    `lost` and `failed` are shares of usable and of unusable images, null where there are none;
    `cost` is that of an image on average.

    Args:
        usable: (N,) whether the segmenter can do something with the image.
        scores: (N,) the filter's probability of that.
        groups: (N,) the subject of each.
        gate: What errors cost.
        intervals: How that of the cost is made.
        besides: One more threshold.
    """
    made = replicates(groups, intervals)
    rows = []
    for threshold in np.union1d(np.linspace(0, 1, _STEPS), [] if besides is None else [besides]):
        lost = usable & (scores < threshold)
        failed = ~usable & (scores >= threshold)
        paid = lost * gate.lost_iris + failed * gate.failed_segmentation
        cost = estimate(
            weighted_mean(paid, made.weights),
            made.sizes,
            confidence=intervals.confidence,
            largest=gate.largest_cost,
        )
        rows.append(
            {
                "threshold": float(threshold),
                "lost": float(lost.sum() / usable.sum()) if usable.any() else None,
                "failed": float(failed.sum() / (~usable).sum()) if not usable.all() else None,
                "cost": cost.value,
                "low": cost.low,
                "high": cost.high,
            }
        )
    return pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.Float64()))


def choose_threshold(curve: pl.DataFrame, gate: Gate, *, usable: int, unusable: int) -> float:
    """The cheapest threshold; of several equally cheap ones that nearest to breaking even.

    With fewer than `LEAST_OF_EACH` usable or unusable images it is where costs break even, which
    needs calibrated probabilities and no further images.
    """
    if min(usable, unusable) < LEAST_OF_EACH:
        return gate.break_even
    cheapest = curve.filter(pl.col("cost") <= pl.col("cost").min() + 1e-12)
    apart = (pl.col("threshold") - gate.break_even).abs()
    return float(cheapest.sort(apart)["threshold"][0])


def to_label_next(
    verdicts: pl.DataFrame, images: pl.DataFrame, *, threshold: float
) -> pl.DataFrame:
    """The rejected images that nobody has labelled, the least sure ones first.

    `unclear` is a label too; the threshold is the score from which on an image passes.
    """
    apart = (pl.col("usable_score") - threshold).abs()
    unlabelled = images.filter(pl.col("label").is_null()).select("image_id")
    rejected = verdicts.filter(~pl.col("passes")).join(unlabelled, on="image_id", how="semi")
    return rejected.sort(apart, "image_id")


def counted(verdicts: pl.DataFrame) -> dict[str, int]:
    """How many images pass and how many are rejected."""
    passed = int(verdicts["passes"].sum())
    return {"passed": passed, "rejected": verdicts.height - passed}
