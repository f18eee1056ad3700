"""The training set's balance for people, as tables and a plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.training_set.balance import describe_balance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# More cells than this cannot be told apart on a page; both ends of the order are what matters.
_MOST_CELLS = 40


def cell_summary(table: pl.DataFrame) -> pl.DataFrame:
    """`cell` (null: not known), `n`, share of images before and of weight after; largest first."""
    total = max(table.height, 1)
    return (
        table.group_by("cell")
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("weight").sum().alias("total_weight"))
        .with_columns(
            (pl.col("n") / total).alias("share_before"),
            (pl.col("total_weight") / total).alias("share_after"),
        )
        .drop("total_weight")
        .sort(["n", "cell"], descending=[True, False], nulls_last=True)
    )


def balance_rows(table: pl.DataFrame, *, max_weight: float) -> list[dict[str, str | int | float]]:
    """Images (the effective size without weights), effective size, largest weight, cap."""
    found = describe_balance(table["weight"].to_numpy(), max_weight=max_weight)
    return [
        {
            "images": found.n_images,
            "effective_images": round(found.n_effective, 1),
            "largest": round(found.largest, 3),
            "at_the_cap": found.n_capped,
        }
    ]


def cells_figure(summary: pl.DataFrame) -> Figure:
    """The share of each cell of `cell_summary` before and after weighting, most images first."""
    left_out = max(0, summary.height - _MOST_CELLS)
    shown = summary
    if left_out:
        shown = summary.head(_MOST_CELLS // 2).vstack(summary.tail(_MOST_CELLS // 2))
    figure = new_figure(8.0, 0.17 * max(4, shown.height) + 1.2)
    axes = figure.subplots()
    place = np.arange(shown.height)
    before, after = shown["share_before"].to_numpy(), shown["share_after"].to_numpy()
    axes.hlines(
        place, np.minimum(before, after), np.maximum(before, after), color="#bbbbbb", linewidth=2
    )
    axes.scatter(before, place, color=PALETTE[7], marker="o", s=16, label="before: share of images")
    axes.scatter(after, place, color=PALETTE[1], marker="D", s=16, label="after: share of weight")
    cells = zip(shown["cell"].to_list(), shown["n"].to_list(), strict=True)
    labels = [f"{shown_word(cell or 'not known', 60)} ({n:,})" for cell, n in cells]
    axes.set_yticks(place, labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.1%}")
    title = "Cells of the training set, most images first"
    axes.set_title(title + (f" ({left_out} between not shown)" if left_out else ""), size=10)
    axes.legend(fontsize=8, frameon=False, loc="best")
    return figure
