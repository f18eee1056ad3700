"""The price chart of remedies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from iip_assets.figures import PALETTE, new_figure
from iip_assets.metrics.names import spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Told apart by colour and by shape.
_LOOKS = {
    "none": (PALETTE[7], "o"),
    "weights": (PALETTE[0], "s"),
    "resampling": (PALETTE[4], "D"),
    "mindiff": (PALETTE[5], "^"),
    "rate_constraint": (PALETTE[2], "v"),
    "threshold_optimizer": (PALETTE[3], "P"),
    "reductions": (PALETTE[1], "X"),
}


def tradeoff_figure(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """Recall of the worst group over accuracy: a path for each remedy along its strengths.

    Crosses span the seeds, dots are the seeds without a remedy, the steps are the Pareto front.
    """
    tradeoff, seeds = tables["tradeoff"], tables["trials"].filter(remedy="none")
    figure = new_figure(7.0, 4.6)
    axes = figure.add_subplot()
    front = tradeoff.filter("pareto").sort("accuracy")
    axes.step(
        front["accuracy"], front["worst_recall"], where="pre", color="#B5B5B5", label="Pareto front"
    )
    axes.scatter(seeds["accuracy"], seeds["worst_recall"], s=9, color=PALETTE[7], alpha=0.5)
    for remedy, (colour, marker) in _LOOKS.items():
        part = tradeoff.filter(remedy=remedy).sort("strength")
        if part.is_empty():
            continue
        x, y = part["accuracy"], part["worst_recall"]
        axes.plot(x, y, color=colour, marker=marker, markersize=7, label=spelled(remedy))
        ends = ("accuracy_least", "accuracy_largest", "worst_recall_least", "worst_recall_largest")
        left, right, low, high = (part[end] for end in ends)
        axes.hlines(y, left, right, colors=colour, linewidth=0.7)
        axes.vlines(x, low, high, colors=colour, linewidth=0.7)
        for at, over, strength in zip(x, y, part["strength"], strict=True):
            if remedy != "none":
                axes.annotate(
                    f"{strength:g}",
                    (at, over),
                    xytext=(5, 4),
                    textcoords="offset points",
                    fontsize=7,
                )
    axes.set_xlabel("accuracy of the decision on all images")
    axes.set_ylabel("recall of usable images in the group that fares worst")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure
