"""Both models on frozen challenge sets, beside the test images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from iip_assets.dataset.challenge_sets import ChallengeSet
from iip_assets.metrics.intervals import Estimate, Intervals, judgeable
from iip_assets.metrics.scored_predictions import JUDGED, Scored, score
from iip_assets.robustness.benchmark import CLEAN, METRICS, scored_answers

_SCHEMA = {
    **dict.fromkeys(("model", "set", "metric"), pl.String()),
    **JUDGED,
    "missing": pl.Int64(),
    **dict.fromkeys(("test", "difference", "difference_low", "difference_high"), pl.Float64()),
}

_NONE = Estimate(None, None, None)


def asked_images(
    sets: Sequence[ChallengeSet], images: pl.DataFrame, splits: pl.DataFrame
) -> pl.DataFrame:
    """`image_id`, `mask_id` (if valid), `label`, `group_id`, `split`: test and challenge images."""
    frozen = [image_id for one in sets for image_id in one.images]
    asked = (pl.col("split") == "test") | pl.col("image_id").is_in(frozen)
    return (
        splits.filter(asked)
        .join(images.select("image_id", "label", "mask_id"), on="image_id")
        .with_columns(mask_id=pl.when("has_mask").then("mask_id"))
        .select("image_id", "mask_id", "label", "group_id", "split")
        .sort("image_id")
    )


def challenge_table(
    sets: Sequence[ChallengeSet],
    images: pl.DataFrame,
    answers: Mapping[str, Mapping[str, pl.DataFrame]],
    *,
    mask_classes: Sequence[str],
    intervals: Intervals,
    least_images: int,
) -> pl.DataFrame:
    """One row for each model, set and metric: its value on the set, and what it is beside test.

    Args:
        sets: The sets.
        images: As `asked_images` gives them; a label that the filter does not know is null.
        answers: Of each model on these, clean, as `models_answers` gives them.
        mask_classes: Names of the mask's classes.
        intervals: How they are drawn.
        least_images: Fewer are too few to judge.
    """
    rows = []
    split = dict(images.select("image_id", "split").iter_rows())
    for model, found in answers.items():
        for _, said in scored_answers(model, images, found[CLEAN], (0,), mask_classes):
            tested = np.flatnonzero([split[one] == "test" for one in said.image_ids])
            test = score(said, tested, intervals).estimates if len(tested) else {}
            for one in sets:
                here = np.flatnonzero(np.isin(said.image_ids, one.images))
                scored = score(said, here, intervals) if len(here) else Scored({}, 0, 0)
                enough = judgeable(scored.n_images, scored.n_subjects, least_images)
                for metric in METRICS[model]:
                    value = scored.estimates.get(metric, _NONE)
                    row: dict[str, object] = {"model": model, "set": one.name, "metric": metric}
                    row |= vars(value)
                    row |= {"n_images": scored.n_images, "n_subjects": scored.n_subjects}
                    row |= {"enough": enough, "missing": len(one.images) - len(here)}
                    rows.append(row | _beside(value, test.get(metric, _NONE)))
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row").sort("model", "set", "metric")


def _beside(value: Estimate, test: Estimate) -> dict[str, float | None]:
    """The metric of the test images, and that of the set minus it.

    Nobody is in both, so that the interval is made of both intervals, which have a width even where
    all of a small set is right (Newcombe 1998, method 10).
    """
    found: dict[str, float | None] = {"test": test.value}
    if value.value is None or test.value is None:
        return found
    found["difference"] = apart = value.value - test.value
    if value.low is None or value.high is None or test.low is None or test.high is None:
        return found
    below = math.hypot(value.value - value.low, test.high - test.value)
    above = math.hypot(value.high - value.value, test.value - test.low)
    return found | {"difference_low": apart - below, "difference_high": apart + above}
