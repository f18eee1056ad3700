"""The forecast as people see it: the chart, the best row of each metric, and its past errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.drift.forecast import RECALIBRATED
from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.models.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALT = "Headline metrics on older images and as forecast for the newest batch, with intervals"
THEN = PALETTE[5]


def best_rows(forecast: pl.DataFrame) -> list[dict[str, Any]]:
    """Rows of headline metrics, by the method that errs least: recalibrated where there is one."""
    headline = pl.col("model").replace_strict({name: task.headline for name, task in TASKS.items()})
    return (
        forecast.filter(pl.col("metric") == headline)
        .sort(pl.col("method") != RECALIBRATED, maintain_order=True)
        .unique(["model", "axis", "slice"], keep="first", maintain_order=True)
        .sort("model", pl.col("axis") != OVERALL, "axis", "slice")
        .to_dicts()
    )


def losses(forecast: pl.DataFrame, most: float) -> tuple[int, list[dict[str, Any]]]:
    """How many headline metrics were forecast, and the rows that surely lose more than `most`."""
    judged = [row for row in best_rows(forecast) if row["change"] is not None]
    return len(judged), [row for row in judged if row["change_high"] < -most]


def loss_in_words(row: Mapping[str, Any]) -> str:
    """Such as `filter: F1 macro 0.91 → 0.84, by 0.02 to 0.12 (n = 80)`."""
    where = "" if row["axis"] == OVERALL else f" of {row['axis']} {row['slice']}"
    return (
        f"{row['model']}: {spelled(row['metric'])}{where} {row['now']:.2f} → {row['value']:.2f}, "
        f"lower by {-row['change_high']:.2f} to {-row['change_low']:.2f} (n = {row['n_images']})"
    )


def past_errors(past: pl.DataFrame) -> list[dict[str, Any]]:
    """For each metric and method the mean absolute error over past batches, beside no change."""
    error = (pl.col("value") - pl.col("measured")).abs()
    inside = pl.col("measured").is_between("low", "high")
    return (
        past.group_by("model", "metric", "method")
        .agg(
            batches=pl.len(),
            error=error.mean().round(4),
            no_change_error=(pl.col("now") - pl.col("measured")).abs().mean().round(4),
            inside=inside.sum(),
        )
        .sort("model", "metric", "method")
        .to_dicts()
    )


def forecast_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A line a headline metric and group: now, forecast with interval, measured if known."""
    shown = [row for row in rows if row["value"] is not None]
    figure = new_figure(7.0, 1.5 + 0.34 * max(len(shown), 1))
    axes = figure.add_subplot()
    places = np.arange(len(shown))[::-1]
    axes.hlines(places, [row["low"] for row in shown], [row["high"] for row in shown], THEN)
    for key, colour, marker, name in (
        ("now", PALETTE[0], "o", "older images"),
        ("value", THEN, "D", "forecast, with interval"),
        ("measured", PALETTE[7], "x", "measured on its labels so far"),
    ):
        values = [np.nan if row[key] is None else row[key] for row in shown]
        axes.scatter(values, places, 34, color=colour, marker=marker, label=name, zorder=3)
    words = [
        f"{row['model']} {spelled(row['metric'])}"
        + ("" if row["axis"] == OVERALL else f", {shown_word(row['slice'], 16)}")
        + f" (n = {row['n_images']})"
        for row in shown
    ]
    axes.set_yticks(places, words, fontsize=8)
    axes.set_ylim(-0.6, max(len(shown), 1) - 0.4)
    axes.set_xlabel("metric")
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    if shown:
        figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    else:
        axes.text(0.5, 0.5, "no forecast", ha="center", transform=axes.transAxes)
    return figure
