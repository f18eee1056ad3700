"""What promised recall rests on: which images of which subjects, and what each threshold loses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from iip_assets.metrics.guarantee import (
    Floats,
    GuaranteeResult,
    guarantee,
    rejected,
    subject_losses,
)
from iip_assets.metrics.scored_predictions import usable_score
from iip_assets.training_set.subsets import Floors, floors_by_subset, memberships

Judged = tuple[pl.DataFrame, Floats]
"""`image_id`, `group_id`, `split` of the images that count, and (N, T) what `THRESHOLDS` lose."""


def filter_losses(scores: pl.DataFrame, examples: pl.DataFrame, usable: Sequence[str]) -> Judged:
    """The images that ought to pass, 1 where they do not; `scores` has `prob_<class>`."""
    scored = scores.select("image_id", usable_score=usable_score(usable))
    images = examples.filter(pl.col("label").is_in(list(usable))).join(scored, on="image_id")
    return images, rejected(images["usable_score"].to_numpy())


def of_subsets(
    judged: Judged, subsets: pl.DataFrame, floors: Floors, split: str
) -> list[tuple[Floats, Any]]:
    """The losses of a split's images and the subject of each, for each subset of the floors."""
    images, losses = judged
    member = memberships(images["image_id"].to_list(), subsets, list(floors_by_subset(floors)))
    member &= (images["split"] == split).to_numpy()[:, None]
    groups = images["group_id"].to_numpy()
    return [(losses[of], groups[of]) for of in member.T]


def promised_recall(
    judged: Judged, subsets: pl.DataFrame, floors: Floors, delta: float
) -> GuaranteeResult:
    """Whether the calibration images of each subset show recall of its floor, by `guarantee`."""
    found = of_subsets(judged, subsets, floors, "calibration")
    losses = [subject_losses(*one) for one in found]
    return guarantee(losses, list(floors_by_subset(floors).values()), delta=delta)
