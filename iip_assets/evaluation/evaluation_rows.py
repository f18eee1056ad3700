"""How the report reads the metrics table: overall rows, slices, baselines."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from iip_assets.models.tasks import TASKS

MODELS = tuple(TASKS)
OVERALL = "overall"
UNKNOWN = "unknown"
BASELINE = "_baseline"

# The metric that stands for a model where there is room for one.
MAIN_METRIC: Mapping[str, str] = {task.name: task.headline for task in TASKS.values()}


def overall_rows(metrics: pl.DataFrame) -> pl.DataFrame:
    """Rows over all held-out images, without baselines, sorted by model and metric."""
    return metrics.filter((pl.col("axis") == OVERALL) & pl.col("model").is_in(MODELS)).sort(
        "model", "metric"
    )


def baseline_value(metrics: pl.DataFrame, model: str, metric: str) -> float | None:
    """What a trivial model reaches in the metric, where the evaluation says so."""
    rows = metrics.filter(
        (pl.col("axis") == OVERALL)
        & (pl.col("model") == model + BASELINE)
        & (pl.col("metric") == metric)
    )
    value = rows["value"][0] if rows.height else None
    return None if value is None else float(value)


def slice_rows(metrics: pl.DataFrame, model: str) -> pl.DataFrame:
    """Rows of a model's main metric for each slice, sorted by axis and slice."""
    return metrics.filter(
        (pl.col("axis") != OVERALL)
        & (pl.col("model") == model)
        & (pl.col("metric") == MAIN_METRIC[model])
    ).sort("axis", "slice")


def main_row(metrics: pl.DataFrame, model: str) -> dict[str, float | int | str | None] | None:
    """The overall row of a model's main metric, or None where it was not evaluated."""
    rows = overall_rows(metrics).filter(
        (pl.col("model") == model) & (pl.col("metric") == MAIN_METRIC[model])
    )
    return rows.row(0, named=True) if rows.height else None
