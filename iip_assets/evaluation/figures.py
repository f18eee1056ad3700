"""Plots of the models: confusion matrices and metrics by slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.evaluation.summary import baseline_value, headline
from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import HEADLINES, TASKS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Dots without enough images behind them are drawn in this.
_FAINT = "#9A9A9A"
_ROW_IN = 0.24


def confusion_figure(confusion: pl.DataFrame, metrics: pl.DataFrame) -> Figure:
    """One matrix a model, each row the shares of one true class, with counts."""
    models = confusion["model"].unique(maintain_order=True).to_list()
    figure = new_figure(4.2 * max(1, len(models)), 3.8)
    if not models:
        figure.text(0.5, 0.5, "no model was judged", ha="center")
    for column, model in enumerate(models):
        part = confusion.filter(pl.col("model") == model)
        classes = part["actual"].unique(maintain_order=True).to_list()
        counts = part["n"].to_numpy().reshape(len(classes), len(classes))
        shares = counts / np.maximum(1, counts.sum(1, keepdims=True))
        axes = figure.add_subplot(1, len(models), column + 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(classes)):
            for place in range(len(classes)):
                share = shares[row, place]
                axes.text(
                    place,
                    row,
                    f"{share:.0%}\n{_short(int(counts[row, place]))}",
                    ha="center",
                    va="center",
                    color="white" if share > 0.6 else "black",
                    fontsize=8,
                )
        names = [shown_word(name, 16) for name in classes]
        axes.set_xticks(range(len(classes)), names, fontsize=8)
        axes.set_yticks(range(len(classes)), names, fontsize=8)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        unit = TASKS[model].unit
        images = (headline(metrics, model) or {}).get("n_images", 0)
        axes.set_title(f"{model}, {unit} of {images} test images", fontsize=9)
    return figure


def slices_figure(metrics: pl.DataFrame, metric_of: Mapping[str, str] = HEADLINES) -> Figure:
    """One metric of each model by slice with its interval; grey where images are too few."""
    models = [model for model in TASKS if (metrics["model"] == model).any()]
    parts = {
        model: metrics.filter(
            (pl.col("model") == model) & (pl.col("metric") == metric_of[model])
        ).drop_nulls("value")
        for model in models
    }
    rows = max((part.height for part in parts.values()), default=1)
    figure = new_figure(5.0 * max(1, len(models)), 1.5 + _ROW_IN * rows)
    if not models:
        figure.text(0.5, 0.5, "no model was judged", ha="center")
    for column, (model, part) in enumerate(parts.items()):
        axes = figure.add_subplot(1, len(models), column + 1)
        _forest(axes, part, metric_of[model])
        bar = baseline_value(metrics, model, metric_of[model])
        if bar is not None:
            axes.axvline(bar, color=PALETTE[5], linestyle="--", linewidth=1, label="baseline")
        axes.set_title(f"{model} on test images", fontsize=9)
    named: dict[str, Artist] = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    if named:
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=3, fontsize=8)
    return figure


def threshold_figure(curve: pl.DataFrame, chosen: Mapping[str, Any]) -> Figure:
    """Cost and errors of the filter by threshold, on validation images.

    From the tables `curve` and, a row of it, `threshold` of filter_verdicts.
    """
    figure = new_figure(7.2, 3.4)
    axes = figure.add_subplot()
    places = curve["threshold"].to_numpy()
    axes.plot(places, curve["cost"].to_numpy(), color=PALETTE[0], label="cost of an image")
    axes.fill_between(
        places,
        curve["low"].fill_null(float("nan")).to_numpy(),
        curve["high"].fill_null(float("nan")).to_numpy(),
        color=PALETTE[0],
        alpha=0.2,
    )
    for name, words, colour, dashes in (
        ("lost", "usable images lost", PALETTE[1], (4, 2)),
        ("failed", "unusable images passed", PALETTE[2], (1, 1.5)),
    ):
        shares = curve[name].fill_null(float("nan")).to_numpy()
        axes.plot(places, shares, color=colour, dashes=dashes, label=words)
    axes.axvline(chosen["threshold"], color="black", linewidth=1)
    axes.annotate(f" threshold {chosen['threshold']:.2f}", (chosen["threshold"], 0.97), fontsize=8)
    axes.set_ylim(0, max(1.02, float(curve["cost"].to_numpy().max(initial=0)) * 1.05))
    axes.set_xlabel("threshold on the probability that an image is usable")
    axes.set_ylabel("share, or cost")
    axes.set_title(
        f"{chosen['usable']} usable and {chosen['unusable']} unusable validation images of "
        f"{chosen['subjects']} subjects",
        fontsize=9,
    )
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _forest(axes: Axes, part: pl.DataFrame, metric: str) -> None:
    places = np.arange(part.height)[::-1]
    values = part["value"].to_numpy()
    colours = [PALETTE[0] if enough else _FAINT for enough in part["enough"]]
    low = part["low"].fill_null(float("nan")).to_numpy()
    high = part["high"].fill_null(float("nan")).to_numpy()
    axes.hlines(places, low, high, colors=colours, linewidth=1.5)
    shown = part["enough"].to_numpy()
    axes.scatter(values[shown], places[shown], color=PALETTE[0], s=18, zorder=3, label="value")
    if not shown.all():
        axes.scatter(
            values[~shown], places[~shown], color=_FAINT, s=18, zorder=3, label="too few images"
        )
    names = [
        f"{'all' if axis == 'overall' else f'{axis}: {shown_word(name)}'} (n={count})"
        for axis, name, count in part.select("axis", "slice", "n_images").iter_rows()
    ]
    axes.set_yticks(places, names, fontsize=7)
    axes.axvline(values[0], color=PALETTE[0], alpha=0.3, linewidth=1)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.7, part.height - 0.3)
    axes.set_xlabel(spelled(metric))
    axes.grid(axis="x", alpha=0.3)


def _short(count: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f}{letter}"
    return str(count)
