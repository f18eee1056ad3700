"""Plots of the data set: what the batches hold, and what stands in each split."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iip_assets.dataset.constants import LABELS
from iip_assets.dataset.summaries import NO_LABEL
from iip_assets.engine.figures import PALETTE, new_figure

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

_MOST_BARS = 30
_GREY = "#BBBBBB"
_COLOURS = dict(zip(LABELS, PALETTE, strict=False)) | {NO_LABEL: _GREY}


def batches_figure(batches: pl.DataFrame) -> Figure:
    """Images by batch and label, newest batch at the foot; the newest 30 where there are more.

    Args:
        batches: As `summaries.batch_table` gives it.
    """
    shown = batches.tail(_MOST_BARS)
    figure = _label_bars(shown, "batch")
    if shown.height < batches.height:
        figure.axes[0].set_title(f"the newest {shown.height} of {batches.height} batches")
    return figure


def splits_figure(splits: pl.DataFrame) -> Figure:
    """Images by split and label.

    Args:
        splits: As `summaries.split_table` gives it.
    """
    return _label_bars(splits, "split")


def _label_bars(table: pl.DataFrame, name: str) -> Figure:
    figure = new_figure(height_in=1.4 + 0.32 * max(table.height, 1))
    axes = figure.subplots()
    # A batch's name is whatever its folder is called: a dollar sign is no formula.
    names = [str(text).replace("$", r"\$") for text in table[name]]
    places = list(range(table.height))
    left = [0] * table.height
    for word, colour in _COLOURS.items():
        widths = table[word].to_list()
        if not any(widths):
            continue
        axes.barh(places, widths, left=left, color=colour, label=word, edgecolor="white")
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        axes.annotate(f" {total:,}", (total, place), va="center", fontsize=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("images")
    axes.spines[["top", "right"]].set_visible(False)
    if not any(left):
        axes.set_xlim(0, 1)
        axes.text(0.5, 0.5, "no images", transform=axes.transAxes, ha="center", va="center")
    else:
        figure.legend(loc="outside upper center", ncols=len(_COLOURS), frameon=False, fontsize=8)
    return figure
