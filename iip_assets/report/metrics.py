"""The few numbers that stand for a state of the project, as flat records for DVC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.evaluation.summary import overall_rows
from iip_assets.models.tasks import TASKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iip_assets.engine.values import Json, Skipped

    Tables = Mapping[str, pl.DataFrame]

DIGITS = 6


def headline(
    model_evaluation: Tables | Skipped,
    raw_dataset: Tables,
    *,
    quarantine: pl.DataFrame | Skipped | None = None,
    drift: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """Headline numbers by model, data and drift, in the shape that `dvc metrics` compares.

    Every overall metric has its value; the main one of a model has its interval too.

    Args:
        model_evaluation: The asset's tables; models that it lacks are left out.
        raw_dataset: The asset's tables.
        quarantine: The asset's table.
        drift: `data` of the drift report.

    Returns:
        Such as `{"filter": {"f1_macro": 0.9, "f1_macro_low": 0.85, "f1_macro_high": 0.94, "images":
        90}, "data": {"images": 600, …}}`. A value that is not known is left out, since DVC compares
        numbers.
    """
    images = raw_dataset["images"]
    data: dict[str, Json] = {
        "images": images.height,
        "labelled": int(images["label"].is_not_null().sum()),
        "with_mask": int(images["mask_id"].is_not_null().sum()),
        "batches": images["batch"].drop_nulls().n_unique(),
    }
    if isinstance(quarantine, pl.DataFrame):
        data["quarantined"] = quarantine.height
    result: dict[str, Json] = {"data": data}
    if isinstance(model_evaluation, dict):
        for model, values in _by_model(model_evaluation["metrics"]).items():
            result[model] = values
    if drift:
        result["drift"] = {"share_moved": drift["share_moved"]}
    return result


def rounded(value: float | None) -> float | None:
    """Six digits after the point; None for what is not a number, which JSON cannot hold."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), DIGITS)


def metric_record(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the metrics table, rounded."""
    return {
        "model": row["model"],
        "metric": row["metric"],
        "axis": row["axis"],
        "slice": row["slice"],
        "value": rounded(row["value"]),
        "low": rounded(row["low"]),
        "high": rounded(row["high"]),
        "n_images": row["n_images"],
        "n_subjects": row["n_subjects"],
        "enough": row["enough"],
    }


def _by_model(metrics: pl.DataFrame) -> dict[str, dict[str, Json]]:
    models: dict[str, dict[str, Json]] = {}
    for row in overall_rows(metrics).iter_rows(named=True):
        values = models.setdefault(row["model"], {})
        ends = {"": row["value"]}
        # An interval for each metric would bury the comparison that DVC prints.
        if row["metric"] == TASKS[row["model"]].headline:
            ends |= {"_low": row["low"], "_high": row["high"]}
        for end, value in ends.items():
            known = rounded(value)
            if known is not None:
                values[row["metric"] + end] = known
        values["images"] = max(int(str(values.get("images", 0))), row["n_images"])
    return models
