"""Plots of the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from iip_assets.engine.figures import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROW_IN = 0.32
# Told apart by colour and by shape.
_LOOKS = {
    "helps": (PALETTE[0], "^"),
    "hurts": (PALETTE[5], "v"),
    "no clear effect": ("#6E6E6E", "o"),
    "too small to judge": ("#B5B5B5", "x"),
}


def batches_figure(verdicts: pl.DataFrame) -> Figure:
    """What each batch did to the filter's F1 on all validation images, with its interval.

    Args:
        verdicts: The table of `judge_batches`.
    """
    rows = verdicts.filter(pl.col("axis") == "overall").sort("batch")
    figure = new_figure(7.5, 1.4 + _ROW_IN * max(1, rows.height))
    axes = figure.add_subplot()
    places = np.arange(rows.height)[::-1]
    for verdict, (colour, marker) in _LOOKS.items():
        chosen = (rows["verdict"] == verdict).to_numpy()
        if not chosen.any():
            continue
        part = rows.filter(pl.Series(chosen))
        low, high = (part[end].fill_null(float("nan")).to_numpy() for end in ("low", "high"))
        values = part["difference"].fill_null(0.0).to_numpy()
        axes.hlines(places[chosen], low, high, colors=colour, linewidth=1.8)
        axes.scatter(
            values, places[chosen], color=colour, marker=marker, s=34, zorder=3, label=verdict
        )
    names = [
        f"{name} (n={count})" for name, count in rows.select("batch", "training_images").rows()
    ]
    axes.set_yticks(places, names, fontsize=8)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel("change of the filter's F1 macro by training with the batch")
    axes.set_ylim(-0.7, rows.height - 0.3)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure
