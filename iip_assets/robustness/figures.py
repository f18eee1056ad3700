"""The benchmark for people: a few rows, and metrics over severity."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.robustness.cells import MEAN
from iip_assets.robustness.corruptions import SEVERITIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLES = ("-", "--")
_COLUMNS = 4


def worst_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """For each model, metric and corruption over all images: the value at the last severity."""
    shown = table.filter(severity=SEVERITIES[-1])
    order = ["model", "metric", "relative_drop"]
    return (
        shown.sort(order, descending=[False, False, True], nulls_last=True)
        .select(
            "model",
            "metric",
            "corruption",
            "severity",
            pl.col("value", "low", "high", "relative_drop").round(4),
            "n_images",
            "n_subjects",
        )
        .to_dicts()
    )


def robustness_figure(table: pl.DataFrame) -> Figure:
    """A panel for each corruption: the main metric of each model over all images, with interval."""
    corruptions = table["corruption"].unique().sort().to_list()
    if not corruptions:
        figure = new_figure(6, 1)
        figure.text(0.5, 0.5, "no model was tried", ha="center")
        return figure
    rows = -(-len(corruptions) // _COLUMNS)
    figure = new_figure(8.8, 0.7 + 1.9 * rows)
    panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, corruption in zip_longest(panels, corruptions):
        axes.set_visible(corruption is not None)
        for style, (model, task) in enumerate(TASKS.items()):
            of_model = table.filter(model=model, metric=task.headline).sort("severity")
            part = of_model.filter(pl.col("corruption").eq_missing(corruption))
            x, y, low, high = (_numbers(part[one]) for one in ("severity", "value", "low", "high"))
            label = f"{model}, {spelled(task.headline)} (n={_most(of_model['n_images'])})"
            colour = PALETTE[style]
            axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
            axes.plot(x, y, _STYLES[style], color=colour, marker="os"[style], ms=3, label=label)
        axes.set_title(shown_word(spelled(str(corruption)), 24), fontsize=9)
        axes.set(ylim=(0, 1.02), xticks=range(6))
        axes.set_xlabel("severity (0: clean)", fontsize=7)
        axes.tick_params(labelsize=7, labelbottom=True)
        axes.grid(alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def cells_figure(cells: pl.DataFrame) -> Figure:
    """What each group loses under each corruption, as the mean over severities, for each model."""
    groups = cells.filter(pl.col("corruption") != MEAN)
    models = groups["model"].unique().sort().to_list()
    names = groups["slice"].unique().sort().to_list()
    corruptions = groups["corruption"].unique().sort().to_list()
    figure = new_figure(8.8, 1.2 + max(1, len(models)) * (0.5 + 0.28 * len(names)))
    if not models:
        figure.text(0.5, 0.5, "no model was tried", ha="center")
        return figure
    panels = figure.subplots(len(models), 1, squeeze=False).ravel()
    for axes, model in zip(panels, models, strict=True):
        lost = np.full((len(names), len(corruptions)), np.nan)
        labels = dict.fromkeys(names, "")
        for row in groups.filter(model=model).to_dicts():
            place = names.index(row["slice"]), corruptions.index(row["corruption"])
            few = "" if row["enough"] else ", too few"
            labels[row["slice"]] = f" {shown_word(row['slice'], 20)} (n={row['n_images']}{few})"
            if None not in (row["clean"], row["value"]):
                lost[place] = row["clean"] - row["value"]
                axes.text(*place[::-1], f"{lost[place]:.2f}", ha="center", va="center", fontsize=7)
        axes.imshow(lost, cmap="RdBu_r", vmin=-0.6, vmax=0.6, alpha=0.7, aspect="auto")
        axes.set_yticks(range(len(names)), [*labels.values()], fontsize=7)
        shown = [shown_word(spelled(one), 20) for one in corruptions] if model == models[-1] else []
        ticks = range(len(shown)) if shown else []
        axes.set_xticks(ticks, shown, fontsize=7, rotation=35, ha="right")
        metric = groups.filter(model=model)["metric"][0]
        axes.set_title(f"{model}: loss of {spelled(metric)}", fontsize=9)
    return figure


def _most(counts: pl.Series) -> int:
    return max(counts.to_list(), default=0)


def _numbers(column: pl.Series) -> NDArray[np.float64]:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
