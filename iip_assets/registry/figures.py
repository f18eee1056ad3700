"""The plot of all versions of both models on the same test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from iip_assets.figures import PALETTE, new_figure
from iip_assets.metrics.names import spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MARKS = {"champion": "*", "challenger": "D"}


def history_figure(history: pl.DataFrame) -> Figure:
    """A panel a model: its headline metric by version with intervals, deployed ones marked.

    Args:
        history: From `contenders.tables_of`.
    """
    models = history["model"].unique(maintain_order=True).to_list()
    figure = new_figure(max(4.6, 4.6 * len(models)), 3.4)
    if not models:
        figure.text(0.5, 0.5, "no version has a word on test images", ha="center")
    for column, model in enumerate(models):
        part = history.filter(pl.col("model") == model)
        axes = figure.add_subplot(1, len(models), column + 1)
        for place, row in enumerate(part.iter_rows(named=True)):
            colour = PALETTE[1] if row["present"] else PALETTE[0]
            if row["low"] is not None:
                axes.vlines(place, row["low"], row["high"], colors=colour, linewidth=1.5)
            mark = next((_MARKS[one] for one in _MARKS if one in row["aliases"]), "o")
            axes.scatter([place], [row["value"]], color=colour, marker=mark, s=60, zorder=3)
        names = [
            f"{row['version']}\n{row['registered_at'][:10]}" for row in part.iter_rows(named=True)
        ]
        axes.set_xticks(range(part.height), names, fontsize=7)
        axes.set_xlim(-0.6, part.height - 0.4)
        axes.set_ylabel(spelled(part["metric"][0]))
        axes.set_title(
            f"{model}: {part['n_images'][0]} test images of {part['n_subjects'][0]} subjects",
            fontsize=9,
        )
    if models:
        from matplotlib.lines import Line2D

        key = [
            Line2D([], [], marker=mark, linestyle="", color=colour, label=label)
            for mark, colour, label in (
                ("*", PALETTE[0], "champion"),
                ("D", PALETTE[0], "challenger"),
                ("o", PALETTE[0], "other version"),
                ("o", PALETTE[1], "held by the graph now"),
            )
        ]
        figure.legend(handles=key, loc="outside lower center", ncols=4, fontsize=8)
    return figure
