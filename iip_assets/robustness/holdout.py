"""What a group's own images are worth to it: heads trained without it, judged on it.

Leaving a group out also leaves out images. So each head without a group stands beside one without
as many images of random other subjects, from the same seed; what remains of the difference is the
group's. Heads learn on three quarters of the training subjects, the rest tells when to stop, and
the validation images of the group judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.labels.folds import deal_folds, reason_for_no_folds
from iip_assets.metrics.intervals import (
    Intervals,
    estimate_difference,
    judgeable,
    replicates,
)
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import class_places
from iip_assets.models.examples import LEAST_LABELLED, reason_for_no_filter
from iip_assets.models.filter import examples_of
from iip_assets.models.filter_network import head_logits, train_head
from iip_assets.training.trainer import Schedule, TrainingRun

_QUARTERS = 4
_SCHEMA = {
    "slice": pl.String(),
    **dict.fromkeys(("with_others", "without", "difference", "low", "high"), pl.Float64()),
    **dict.fromkeys(("left_out", "n_images", "n_subjects"), pl.Int64()),
}


def holdout_images(
    examples: pl.DataFrame, slices: pl.DataFrame, *, least_images: int
) -> pl.DataFrame | str:
    """The filter's training and validation examples with `group`, `tuned`, `tried`; or why none.

    `tried` says whether the group can be left out: it has enough validation images, there are as
    many training images of others, and without it there is enough to learn from.
    """
    train, judged = (examples.filter(split=one) for one in ("train", "validation"))
    subjects = train["group_id"].to_list()
    reason = reason_for_no_folds(subjects, least=LEAST_LABELLED, what="a label")
    if reason is not None:
        return reason
    groups = slices.filter(pl.col("slice") != UNKNOWN).select("image_id", group="slice")
    tuned = pl.Series("tuned", deal_folds(subjects, _QUARTERS) == 0)
    images = pl.concat(
        [train.with_columns(tuned), judged.with_columns(tuned=pl.lit(value=False))]
    ).join(groups, on="image_id", how="left", maintain_order="left")
    tried = []
    for (name,), own in images.drop_nulls("group").group_by("group"):
        seen = own.filter(split="validation")
        left = images.filter((pl.col("split") == "train") & ~pl.col("tuned"))
        left = left.filter(pl.col("group").ne_missing(pl.lit(name)))
        if (
            judgeable(seen.height, seen["group_id"].n_unique(), least_images)
            and 0 < own.filter(split="train").height * 2 <= train.height
            and reason_for_no_filter(left) is None
        ):
            tried.append(name)
    if not tried:
        return (
            f"no group can be left out and judged: that takes {least_images} labelled validation "
            "images of it, training images of it, and as many of others, enough to learn from"
        )
    return images.with_columns(tried=pl.col("group").is_in(tried).fill_null(value=False))


def planned(images: pl.DataFrame, seeds: int) -> pl.DataFrame:
    """A row a head: the group that judges, whether it is left out, and the seed."""
    groups = images.filter("tried")["group"].unique().sort().to_list()
    rows = [(one, own, seed) for one in groups for own in (True, False) for seed in range(seeds)]
    return pl.DataFrame(rows, schema=["group", "own", "seed"], orient="row")


def run_holdouts(
    records: Sequence[Mapping[str, Any]],
    *,
    schedule: Mapping[str, Any],
    images: pl.DataFrame,
    run: TrainingRun,
) -> list[dict[str, Any]]:
    """`right` of each head: of each validation image of its group whether its class is found."""
    found = []
    dimensions = len(images["embedding"][0])
    for one in records:
        left_out = _left_out(images, one["group"], own=one["own"], seed=one["seed"])
        learned = images.filter((pl.col("split") == "train") & ~left_out)
        parts = (
            learned.filter(~pl.col("tuned")),
            learned.filter("tuned"),
            images.filter(split="validation", group=one["group"]),
        )
        training, tuning, judged = (examples_of(part, dimensions) for part in parts)
        recipe = Schedule(**{**schedule, "seed": one["seed"]})
        head, _ = train_head(training, tuning, recipe, classes=len(FILTER_CLASSES), run=run)
        said = head_logits(head, judged.embeddings).argmax(axis=1)
        found.append({"right": (said == class_places(parts[2]["label"])).astype(int).tolist()})
    return found


def _left_out(images: pl.DataFrame, group: str, *, own: bool, seed: int) -> pl.Expr:
    """The images of a group; or of random others, subject by subject, until they are as many."""
    theirs = pl.col("group").eq_missing(pl.lit(group))
    if own:
        return theirs
    train = images.filter(split="train")
    count = train.filter(theirs).height
    others = train.filter(~theirs).group_by("group_id").len().sort("group_id")
    drawn = others[np.random.default_rng(seed).permutation(others.height)]
    enough = drawn.filter(pl.col("len").cum_sum().shift(1, fill_value=0) < count)
    return pl.col("group_id").is_in(enough["group_id"].to_list()) & ~theirs


def holdout_table(
    answers: pl.DataFrame, images: pl.DataFrame, intervals: Intervals
) -> pl.DataFrame:
    """A row a group: the accuracy on it of heads without others and without it, and what it loses.

    `answers` has the columns of `planned` and what `run_holdouts` gives. The interval is over
    subjects, and over seeds where there are several.
    """
    rows: list[dict[str, object]] = []
    for (group,), own in answers.sort("group").group_by("group", maintain_order=True):
        judged = images.filter(split="validation", group=group)
        with_others, without = (
            np.array(own.filter(own=one).sort("seed")["right"].to_list(), dtype=np.float64)
            for one in (False, True)
        )
        lost = without - with_others
        made = replicates(judged["group_id"].to_list(), intervals)
        seeds = len(lost)
        by_seed = [(float(lost.mean(1).var(ddof=1) / seeds), seeds - 1)] if seeds > 1 else []
        found = estimate_difference(
            made.weights @ lost.mean(0) / made.weights.sum(1),
            made.sizes,
            confidence=intervals.confidence,
            besides=[one for one in by_seed if one[0]],
        )
        rows.append(
            {
                "slice": group,
                "with_others": float(with_others.mean()),
                "without": float(without.mean()),
                **{"difference": found.value, "low": found.low, "high": found.high},
                "left_out": images.filter(split="train", group=group).height,
                "n_images": judged.height,
                "n_subjects": judged["group_id"].n_unique(),
            }
        )
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort("slice")
