"""A row a promise: what the calibration subjects grant, and what the test subjects say of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from iip_assets.engine.values import Skipped
from iip_assets.evaluation.promises import Judged, of_subsets, promised_recall
from iip_assets.metrics.guarantee import THRESHOLDS, subject_losses
from iip_assets.metrics.intervals import share_estimate
from iip_assets.metrics.names import OVERALL
from iip_assets.training_set.subsets import Floors, floors_by_subset

SCHEMA = {
    **dict.fromkeys(("model", "axis", "slice"), pl.String()),
    **dict.fromkeys(("floor", "delta"), pl.Float64()),
    "granted": pl.Boolean(),
    **dict.fromkeys(("threshold", "recall", "p_value"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects", "more_subjects"), pl.Int64()),
    "reason": pl.String(),
    **dict.fromkeys(("test_recall", "test_low", "test_high"), pl.Float64()),
    "test_subjects": pl.Int64(),
}


def promises_table(
    models: Sequence[tuple[str, Judged | str, Floors]],
    subsets: pl.DataFrame,
    delta: float,
    confidence: float,
) -> pl.DataFrame:
    """The promises of each model, by `SCHEMA`; recall is that at the threshold, or the loosest.

    The threshold is that of the model's promises that are granted, also of those that are not. In
    place of what is judged there may be the reason why nothing can be.
    """
    rows: list[dict[str, Any]] = []
    for model, judged, floors in models:
        if isinstance(judged, str):
            refused = {"model": model, "delta": delta, "granted": False, "reason": judged}
            rows += [
                {**refused, "axis": axis, "slice": name, "floor": floor}
                for (axis, name), floor in floors_by_subset(floors).items()
            ]
            continue
        found = promised_recall(judged, subsets, floors, delta)
        place = int(np.searchsorted(THRESHOLDS, found.threshold or 0))
        seen = of_subsets(judged, subsets, floors, "calibration")
        tested = of_subsets(judged, subsets, floors, "test")
        named = zip(floors_by_subset(floors).items(), found.subsets, seen, tested, strict=True)
        for ((axis, name), floor), one, (losses, _), test in named:
            recalls = 1 - subject_losses(*test)[:, place]
            told = share_estimate(recalls, np.ones(len(recalls)), confidence=confidence)
            rows.append(
                {
                    **{"model": model, "axis": axis, "slice": name, "floor": floor, "delta": delta},
                    **{"granted": not one.reason, "threshold": found.threshold},
                    **{**vars(one), "n_images": len(losses), "test_subjects": len(recalls)},
                    **{"test_recall": told.value, "test_low": told.low, "test_high": told.high},
                }
            )
    return pl.DataFrame(rows, schema=SCHEMA)


def reason_of(value: object) -> str:
    """Why there is no such value; empty where there is one."""
    return value.reason if isinstance(value, Skipped) else ""


def promise_in_words(row: Mapping[str, Any]) -> str:
    """Such as `filter: recall of ethnicity black at least 0.9`."""
    what = "recall" if row["model"] == "filter" else "pixel recall"
    whom = "all images" if row["axis"] == OVERALL else f"{row['axis']} {row['slice']}"
    return f"{row['model']}: {what} of {whom} at least {row['floor']:g}"


def why_broken(row: Mapping[str, Any]) -> str:
    """Why a promise is refused, or what of the test subjects contradicts it; else empty."""
    more = row["more_subjects"]
    if not row["granted"]:
        would = f"; {more:,} more labelled calibration subjects would do" if more else ""
        return f"{row['reason']}{would}"
    if row["test_high"] is None or row["test_high"] >= row["floor"]:
        return ""
    seen = f"{row['test_recall']:.3f} ({row['test_low']:.3f} to {row['test_high']:.3f})"
    return f"granted, but recall is {seen} of {row['test_subjects']} test subjects"
