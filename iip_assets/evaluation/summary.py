"""The table of metrics for people: its main rows, and whether a model beats its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from iip_assets.metrics.intervals import TOO_FEW
from iip_assets.metrics.names import BASELINE, BESIDE_HUMAN, HUMAN, OVERALL
from iip_assets.models.tasks import TASKS, ModelTask


def overall_rows(metrics: pl.DataFrame) -> pl.DataFrame:
    """Rows over all held-out images, without baselines, sorted by model and metric."""
    return metrics.filter((pl.col("axis") == OVERALL) & pl.col("model").is_in(list(TASKS))).sort(
        "model", "metric"
    )


def slice_rows(metrics: pl.DataFrame, model: str) -> pl.DataFrame:
    """Rows of a model's headline metric for each slice, sorted by axis and slice."""
    return metrics.filter(
        (pl.col("axis") != OVERALL)
        & (pl.col("model") == model)
        & (pl.col("metric") == TASKS[model].headline)
    ).sort("axis", "slice")


def headline(metrics: pl.DataFrame, name: str) -> dict[str, Any] | None:
    """The overall row of a model's headline metric, or of who is judged beside it.

    None if it was not judged.
    """
    return _overall(metrics, name, TASKS[name.partition("_")[0]].headline)


def baseline_value(metrics: pl.DataFrame, model: str, metric: str) -> float | None:
    """What a trivial model reaches in the metric, where the evaluation says so."""
    row = _overall(metrics, model + BASELINE, metric)
    return row["value"] if row else None


def _overall(metrics: pl.DataFrame, name: str, metric: str) -> dict[str, Any] | None:
    found = metrics.filter(
        (pl.col("axis") == OVERALL) & (pl.col("model") == name) & (pl.col("metric") == metric)
    )
    return found.row(0, named=True) if found.height else None


def headline_rows(metrics: pl.DataFrame) -> list[Mapping[str, float | int | str | None]]:
    """The headline metric of each model and of who is beside it, with interval and counts."""
    names = [f"{model}{end}" for model in TASKS for end in ("", BASELINE, HUMAN, BESIDE_HUMAN)]
    return [
        {**found, **{end: rounded(found[end]) for end in ("value", "low", "high")}}
        for name in names
        if (found := headline(metrics, name)) is not None
    ]


def overall_metrics(metrics: pl.DataFrame) -> list[dict[str, Any]]:
    """The metrics that say most of each model, over all held-out images."""
    shown = (*(task.headline for task in TASKS.values()), "auc_macro", "map", "iou_")
    columns = ("model", "metric", "value", "low", "high", "n_images")
    rows = overall_rows(metrics).filter(pl.col("value").is_not_null()).select(columns)
    return [row for row in rows.to_dicts() if row["metric"].startswith(shown)]


def rounded_rows(table: pl.DataFrame, *columns: str) -> list[dict[str, Any]]:
    """The rows of a table, these columns rounded to four digits."""
    return table.with_columns(pl.col(*columns).round(4)).to_dicts()


def rounded(value: float | None) -> float | None:
    """To four digits."""
    return None if value is None else round(value, 4)


@dataclass(frozen=True)
class Verdict:
    """Whether a model beats its baseline.

    Attributes:
        beats: Whether it does; None where there is no such model, or too little to tell by.
        reason: The numbers, in words.
    """

    beats: bool | None
    reason: str


def beats_baseline(metrics: pl.DataFrame, task: ModelTask) -> Verdict:
    """Whether the model's headline metric is surely above the baseline's value on the test images.

    The lower end of the interval counts; too few subjects for one tell nothing.
    """
    own, baseline = headline(metrics, task.name), headline(metrics, f"{task.name}{BASELINE}")
    if own is None or baseline is None or own["value"] is None:
        return Verdict(beats=None, reason=f"there is no {task.name} to judge on the test images")
    bar = baseline["value"] or 0.0
    low = own["low"]
    interval = f"({low:.3f} to {own['high']:.3f})" if low is not None else f"({TOO_FEW})"
    return Verdict(
        beats=None if low is None else low > bar,
        reason=f"{task.headline} {own['value']:.3f} {interval} against {bar:.3f} "
        f"without looking, on {own['n_images']} images of {own['n_subjects']} subjects",
    )
