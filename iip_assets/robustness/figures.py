"""The benchmark for people: a few rows, and metrics over severity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.robustness.corruptions import SEVERITIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES = ("-", "--", "-.", ":")

# More lines than the palette has colours cannot be told apart.
_MOST_GROUPS = 7


def worst_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """For each model, metric and corruption over all images: the value at the last severity."""
    shown = table.filter(
        (pl.col("axis") == "overall") & (pl.col("severity") == SEVERITIES[-1])
    ).sort(["model", "metric", "relative_drop"], descending=[False, False, True], nulls_last=True)
    return shown.select(
        "model",
        "metric",
        "corruption",
        "severity",
        pl.col("value", "low", "high", "relative_drop").round(4),
        "n_images",
        "n_subjects",
    ).to_dicts()


def robustness_figure(table: pl.DataFrame) -> Figure:
    """One panel for each model and corruption: all images with their interval, and each group."""
    shown = {
        name: table.filter((pl.col("model") == name) & (pl.col("metric") == task.headline))
        for name, task in TASKS.items()
    }
    models = [model for model, part in shown.items() if part.height]
    corruptions = table["corruption"].unique().sort().to_list()
    figure = new_figure(2.4 * max(2, len(corruptions)), 0.6 + 2.4 * max(1, len(models)))
    if not models:
        figure.text(0.5, 0.5, "no model was tried", ha="center")
        return figure
    grid = figure.subplots(len(models), len(corruptions), sharex=True, sharey="row", squeeze=False)
    groups = _groups(table)
    for row, model in enumerate(models):
        for column, corruption in enumerate(corruptions):
            axes = grid[row][column]
            _panel(axes, shown[model].filter(pl.col("corruption") == corruption), groups)
            if row == 0:
                axes.set_title(shown_word(spelled(corruption), 24), fontsize=9)
            if row == len(models) - 1:
                axes.set_xlabel("severity", fontsize=8)
        grid[row][0].set_ylabel(f"{model}\n{spelled(TASKS[model].headline)}", fontsize=8)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(6, len(labels)), fontsize=8
    )
    return figure


def _panel(axes: Axes, part: pl.DataFrame, groups: dict[str, int]) -> None:
    overall = part.filter(pl.col("axis") == "overall").sort("severity")
    severity = overall["severity"].to_numpy()
    low, high = _numbers(overall["low"]), _numbers(overall["high"])
    axes.fill_between(severity, low, high, color=PALETTE[0], alpha=0.2, linewidth=0)
    axes.plot(
        severity,
        _numbers(overall["value"]),
        color=PALETTE[0],
        linewidth=2,
        marker="o",
        markersize=3,
        label=f"all (n={_most(overall['n_images'])})",
    )
    for name, style in groups.items():
        one = part.filter((pl.col("axis") != "overall") & (pl.col("slice") == name))
        one = one.sort("severity")
        axes.plot(
            one["severity"].to_numpy(),
            _numbers(one["value"]),
            color=PALETTE[1 + style % (len(PALETTE) - 1)],
            linestyle=_STYLES[style % len(_STYLES)],
            linewidth=1,
            # A label that begins with _ would be left out of the legend.
            label=f" {shown_word(name)} (n={_most(one['n_images'])})",
        )
    axes.set_ylim(0, 1.02)
    axes.set_xticks(range(6))
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)


def _groups(table: pl.DataFrame) -> dict[str, int]:
    """The largest groups with a number for their colour and dash."""
    counts = (
        table.filter(pl.col("axis") != "overall")
        .group_by("slice")
        .agg(pl.col("n_images").max())
        .sort(["n_images", "slice"], descending=[True, False])
        .head(_MOST_GROUPS)
    )
    return {name: style for style, name in enumerate(sorted(counts["slice"]))}


def _most(counts: pl.Series) -> int:
    return max(counts.to_list(), default=0)


def _numbers(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
