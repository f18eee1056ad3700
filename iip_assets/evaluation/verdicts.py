"""What the filter says of every image, and which of them it lets pass."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.evaluation.threshold import Costs, choose_threshold, cost_curve
from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.models.answers import usable_score

_SUMMARY = {
    "threshold": pl.Float64(),
    "break_even": pl.Float64(),
    "cost": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "usable": pl.Int64(),
    "unusable": pl.Int64(),
    "subjects": pl.Int64(),
}


def filter_verdicts_tables(
    scores: pl.DataFrame,
    examples: pl.DataFrame,
    *,
    usable: Sequence[str],
    costs: Costs,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, pl.DataFrame]:
    """The tables `verdicts`, `curve` and `threshold`.

    The threshold is chosen on the validation images. `verdicts` has a row an image: `image_id`,
    `prob_<class>`, `predicted`, `usable_score` and `passes`.

    Args:
        scores: `image_id` and `prob_<class>` of every image.
        examples: From `examples.labelled_images`.
        usable: Words that the segmenter can do something with.
        costs: What errors cost.
        resamples: How many times subjects are drawn again.
        confidence: Of intervals.
        seed: Of the draws.
    """
    scored = scores.with_columns(usable_score=usable_score(usable)).sort("image_id")
    known = examples.filter(pl.col("split") == "validation")
    held_out = scored.join(known.select("image_id", "label", "group_id"), on="image_id")
    is_usable = held_out["label"].is_in(list(usable)).to_numpy().astype(bool)
    groups = held_out["group_id"].to_list()
    curve = cost_curve(
        is_usable,
        held_out["usable_score"].to_numpy(),
        groups,
        costs,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    counts = {"usable": int(is_usable.sum()), "unusable": int((~is_usable).sum())}
    threshold = choose_threshold(curve, costs, **counts)
    nearest = curve.sort((pl.col("threshold") - threshold).abs()).row(0, named=True)
    summary = {
        "threshold": threshold,
        "break_even": costs.break_even,
        **{end: nearest[end] for end in ("cost", "low", "high")},
        **counts,
        "subjects": len(set(groups)),
    }
    probabilities = [f"prob_{name}" for name in FILTER_CLASSES]
    said = scored.select(probabilities).to_numpy()
    verdicts = scored.select(
        "image_id",
        *probabilities,
        pl.Series("predicted", [FILTER_CLASSES[place] for place in said.argmax(1)], pl.String),
        "usable_score",
        passes=pl.col("usable_score") >= threshold,
    )
    return {
        "verdicts": verdicts,
        "curve": curve,
        "threshold": pl.DataFrame([summary], schema=_SUMMARY),
    }


def to_label_next(
    verdicts: pl.DataFrame, images: pl.DataFrame, *, threshold: float
) -> pl.DataFrame:
    """The rejected images that nobody has labelled, the least sure ones first.

    Args:
        verdicts: As `filter_verdicts_tables` gives them.
        images: `image_id` and `label`; `unclear` is a label too.
        threshold: From what score on an image passes.
    """
    apart = (pl.col("usable_score") - threshold).abs()
    unlabelled = images.filter(pl.col("label").is_null()).select("image_id")
    rejected = verdicts.filter(~pl.col("passes")).join(unlabelled, on="image_id", how="semi")
    return rejected.sort(apart, "image_id")


def counted(verdicts: pl.DataFrame) -> dict[str, int]:
    """How many images pass and how many are rejected."""
    passed = int(verdicts["passes"].sum())
    return {"passed": passed, "rejected": verdicts.height - passed}
