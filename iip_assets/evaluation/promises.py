"""What promised recall rests on: which images of which subjects, and what each threshold loses."""

from __future__ import annotations

from collections.abc import Sequence

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

CALIBRATION = "calibration"


def usable_images(
    scores: pl.DataFrame, examples: pl.DataFrame, usable: Sequence[str]
) -> pl.DataFrame:
    """`image_id`, `group_id`, `split`, `usable_score` of the images that ought to pass, sorted."""
    known = examples.filter(pl.col("label").is_in(list(usable)))
    scored = scores.select("image_id", usable_score=usable_score(usable))
    return (
        known.select("image_id", "group_id", "split").join(scored, on="image_id").sort("image_id")
    )


def promised_recall(
    images: pl.DataFrame, losses: Floats, subsets: pl.DataFrame, floors: Floors, *, delta: float
) -> GuaranteeResult:
    """Whether recall reaches its floor on each named subset, by the calibration images.

    Args:
        images: `image_id`, `group_id`, `split`.
        losses: (N, T) of each at `THRESHOLDS`.
        subsets: The table of protected_subsets.
        floors: By axis and value.
        delta: The chance that a promise is granted though it does not hold.
    """
    named = floors_by_subset(floors)
    held_out = (images["split"] == CALIBRATION).to_numpy()
    member = memberships(images["image_id"].to_list(), subsets, list(named)) & held_out[:, None]
    groups = images["group_id"].to_numpy()
    of_subjects = [subject_losses(losses[of], groups[of]) for of in member.T]
    return guarantee(of_subjects, list(named.values()), delta=delta)


def promised_threshold(
    scores: pl.DataFrame,
    examples: pl.DataFrame,
    subsets: pl.DataFrame,
    floors: Floors,
    *,
    delta: float,
    usable: Sequence[str],
) -> float | None:
    """The highest threshold of the filter that keeps its promises; None: none made, or refused.

    Args:
        scores: `image_id` and `prob_<class>`.
        examples: The table of filter_examples.
        subsets: As `promised_recall` takes them.
        floors: Likewise.
        delta: Likewise.
        usable: The classes that ought to pass.
    """
    if not floors_by_subset(floors):
        return None
    images = usable_images(scores, examples, usable)
    losses = rejected(images["usable_score"].to_numpy())
    return promised_recall(images, losses, subsets, floors, delta=delta).threshold
