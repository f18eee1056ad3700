"""Plots of labelers: how far each agrees with the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 25


def labelers_figure(labelers: pl.DataFrame) -> Figure:
    """The table `labelers`: a panel for labels and one for masks, the worst labelers on top.

    A labeler's dot with its interval stands beside a line: how far the others agree on his images.
    """
    parts = [part for _, part in labelers.group_by("what", maintain_order=True)]
    rows = max(min(part.height, _MOST) for part in parts)
    figure = new_figure(4.4 * len(parts), 1.0 + 0.32 * rows)
    for column, part in enumerate(parts, 1):
        axes = figure.add_subplot(1, len(parts), column)
        shown = part.sort("value", "labeler", nulls_last=True).head(_MOST)
        ticks = []
        for place, row in enumerate(shown.iter_rows(named=True)):
            colour, mark = (PALETTE[5], "D") if row["flagged"] else (PALETTE[0], "o")
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.8)
            if row["others"] is not None:
                axes.plot(row["others"], place, marker="|", color="#444444", markersize=12)
            if row["value"] is not None:
                axes.plot(row["value"], place, marker=mark, color=colour)
            worse = ", worse than the others" if row["flagged"] else ""
            ticks.append(f"{shown_word(row['labeler'], 24)} (n = {row['n_images']}){worse}")
        axes.set_yticks(range(len(ticks)), ticks, fontsize=8)
        axes.set_ylim(len(ticks) - 0.5, -0.5)
        axes.set_title(f"{part['what'][0]}s", fontsize=9)
        axes.set_xlabel(
            f"{spelled(part['metric'][0])} with the others\n| : the others with each other",
            fontsize=8,
        )
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right", "left"]].set_visible(False)
    return figure
