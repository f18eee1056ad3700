"""A row a promise: what the calibration subjects grant, and what the test subjects say of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from iip_assets.evaluation.promises import CALIBRATION, promised_recall
from iip_assets.metrics.guarantee import THRESHOLDS, Floats, rejected, subject_losses
from iip_assets.metrics.intervals import share_estimate
from iip_assets.training_set.subsets import Floors, floors_by_subset, memberships

SCHEMA = {
    **dict.fromkeys(("model", "axis", "slice"), pl.String()),
    **dict.fromkeys(("floor", "delta"), pl.Float64()),
    "granted": pl.Boolean(),
    **dict.fromkeys(("threshold", "highest", "recall", "p_value"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects", "more_subjects"), pl.Int64()),
    "reason": pl.String(),
    **dict.fromkeys(("test_recall", "test_low", "test_high"), pl.Float64()),
    "test_subjects": pl.Int64(),
}

# From the highest threshold that keeps the promises to the one in use, and what each image loses.
InUse = Callable[[float | None], tuple[float | None, Floats]]


def filter_in_use(images: pl.DataFrame, threshold: float) -> InUse:
    """The filter's own threshold, which already heeds the promises."""
    losses = rejected(images["usable_score"].to_numpy(), np.array([threshold]))[:, 0]
    return lambda _: (threshold, losses)


def pixels_in_use(losses: Floats) -> InUse:
    """The highest threshold; without one a pixel is of the likeliest class, as at the strictest."""

    def in_use(highest: float | None) -> tuple[float | None, Floats]:
        place = -1 if highest is None else int(np.searchsorted(THRESHOLDS, highest))
        return highest, losses[:, place]

    return in_use


def promise_rows(
    model: str,
    images: pl.DataFrame,
    losses: Floats,
    subsets: pl.DataFrame,
    floors: Floors,
    *,
    delta: float,
    confidence: float,
    in_use: InUse,
) -> list[dict[str, Any]]:
    """The rows of one model, by `SCHEMA`.

    Args:
        model: `filter` or `segmenter`.
        images: `image_id`, `group_id`, `split` of the images that count.
        losses: (N, T) of each at `THRESHOLDS`.
        subsets: The table of protected_subsets.
        floors: By axis and value.
        delta: The chance that a promise is granted though it does not hold.
        confidence: Of the interval of the recall on the test subjects.
        in_use: At which threshold the model is used.
    """
    named = floors_by_subset(floors)
    found = promised_recall(images, losses, subsets, floors, delta=delta)
    threshold, lost = in_use(found.threshold)
    member = memberships(images["image_id"].to_list(), subsets, list(named))
    groups, split = images["group_id"].to_numpy(), images["split"].to_numpy()

    def recalls(of: Any) -> Floats:
        return 1 - subject_losses(lost[of][:, None], groups[of])[:, 0]

    rows = []
    for ((axis, name), floor), of, one in zip(named.items(), member.T, found.subsets, strict=True):
        seen, held_out = of & (split == CALIBRATION), recalls(of & (split == "test"))
        test = share_estimate(held_out, np.ones(len(held_out)), confidence=confidence)
        rows.append(
            {
                "model": model,
                "axis": axis,
                "slice": name,
                "floor": floor,
                "delta": delta,
                "granted": found.threshold is not None,
                "threshold": threshold,
                "highest": found.threshold,
                "recall": float(recalls(seen).mean()) if seen.any() else None,
                "p_value": one.p_value,
                "n_images": int(seen.sum()),
                "n_subjects": one.n_subjects,
                "more_subjects": one.more_subjects,
                "reason": one.reason,
                "test_recall": test.value,
                "test_low": test.low,
                "test_high": test.high,
                "test_subjects": len(held_out),
            }
        )
    return rows


def broken_in_words(rows: pl.DataFrame) -> list[str]:
    """The promises that are refused, or that the test subjects surely contradict."""
    return [
        f"{promise_in_words(row)}: {why}" for row in rows.to_dicts() if (why := why_broken(row))
    ]


def promise_in_words(row: Mapping[str, Any]) -> str:
    """Such as `filter: recall of ethnicity black at least 0.9`."""
    what = "recall" if row["model"] == "filter" else "pixel recall"
    return f"{row['model']}: {what} of {row['axis']} {row['slice']} at least {row['floor']:g}"


def why_broken(row: Mapping[str, Any]) -> str:
    """Why a promise is no good, and what would help; empty where it stands."""
    if row["granted"]:
        surely_below = row["test_high"] is not None and row["test_high"] < row["floor"]
        return (
            f"granted, but recall is {row['test_recall']:.3f} ({row['test_low']:.3f} to "
            f"{row['test_high']:.3f}) of {row['test_subjects']} test subjects"
            if surely_below
            else ""
        )
    more = row["more_subjects"]
    return str(row["reason"]) + (
        f"; {more:,} more labelled calibration subjects would do" if more else ""
    )
