"""Numbers as JSON holds them, and the few that stand for a state of the project, for DVC."""

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


def rounded(value: Any) -> Any:
    """Six digits after a float's point, item by item in a list; null where it is no number."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    if not isinstance(value, float):
        return value
    return round(value, DIGITS) if math.isfinite(value) else None


def records(table: pl.DataFrame) -> list[dict[str, Any]]:
    """The rows, rounded."""
    return [{name: rounded(one) for name, one in row.items()} for row in table.to_dicts()]


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
        "labelled": images["label"].count(),
        "with_mask": images["mask_id"].count(),
        "batches": images["batch"].drop_nulls().n_unique(),
    }
    if isinstance(quarantine, pl.DataFrame):
        data["quarantined"] = quarantine.height
    result: dict[str, Json] = {"data": data}
    if isinstance(model_evaluation, dict):
        result |= _by_model(model_evaluation["metrics"])
    if drift:
        result["drift"] = {"share_moved": drift["share_moved"]}
    return result


def _by_model(metrics: pl.DataFrame) -> dict[str, Any]:
    models: dict[str, dict[str, Any]] = {}
    for row in records(overall_rows(metrics)):
        values = models.setdefault(row["model"], {})
        ends = {"": row["value"]}
        # An interval for each metric would bury the comparison that DVC prints.
        if row["metric"] == TASKS[row["model"]].headline:
            ends |= {"_low": row["low"], "_high": row["high"]}
        values |= {row["metric"] + end: value for end, value in ends.items() if value is not None}
        values["images"] = max(values.get("images", 0), row["n_images"])
    return models
