"""Plots of the statistics. Numbers come ready from the tables; here is only layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from iip_assets.engine.figures import PALETTE, new_figure
from iip_assets.statistics.background import BACKGROUNDS
from iip_assets.statistics.lighting import LIGHTING
from iip_assets.statistics.word_counts import word_counts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Dark words dark and bright ones bright, so that the colour reads without the legend.
_LIGHTING_COLOURS = {
    "dark": PALETTE[7],
    "normal": PALETTE[4],
    "bright": PALETTE[1],
    "uneven": PALETTE[3],
}
_BAR = PALETTE[0]
_UNKNOWN_COLOUR = "#999999"
# A plot of more points takes seconds and shows no more.
_MOST_POINTS = 4000


def lighting_figure(
    statistics: pl.DataFrame, lighting: pl.DataFrame, *, limits: Mapping[str, float]
) -> Figure:
    """Brightness by lighting as stacked bars, and brightness against contrast.

    Args:
        statistics: `image_id`, `brightness`, `contrast`.
        lighting: `image_id`, `lighting`.
        limits: Lines to draw: words to brightness.
    """
    table = statistics.join(lighting, on="image_id").drop_nulls("lighting").sort("image_id")
    figure = new_figure(9.0, 3.5)
    left, right = figure.subplots(1, 2)
    groups = {word: table.filter(pl.col("lighting") == word) for word in LIGHTING}
    left.hist(
        [group["brightness"].to_numpy() for group in groups.values()],
        bins=np.arange(0, 261, 8).tolist(),
        stacked=True,
        color=list(_LIGHTING_COLOURS.values()),
        label=[f"{word} ({group.height:,})" for word, group in groups.items()],
    )
    for limit in limits.values():
        left.axvline(limit, color="black", linestyle=":", linewidth=1)
    left.set(xlabel="brightness (mean luma)", ylabel="images", xlim=(0, 255))
    words = ", ".join(f"{word} {limit:g}" for word, limit in limits.items())
    left.set_title(f"Light ({words})", size=10)
    left.legend(fontsize=8, frameon=False)
    # Every k-th by id is a fair sample, since an id is a hash.
    step = max(1, table.height // _MOST_POINTS)
    for word, group in groups.items():
        some = group.gather_every(step)
        right.scatter(
            some["brightness"].to_numpy(),
            some["contrast"].to_numpy(),
            s=5,
            alpha=0.6,
            color=_LIGHTING_COLOURS[word],
        )
    right.set(xlabel="brightness (mean luma)", ylabel="contrast (std of luma)", xlim=(0, 255))
    share = f" (1 image in {step})" if step > 1 else ""
    right.set_title(f"Light and contrast{share}", size=10)
    return figure


def background_figure(background: pl.DataFrame) -> Figure:
    """Images by background, with 95% intervals of the shares."""
    records = word_counts(background, "background", BACKGROUNDS)
    figure = new_figure(6.0, 2.4)
    axes = figure.subplots()
    labels = [f"{record['background']} ({record['n']:,})" for record in records]
    shares = np.array([float(record["share"]) for record in records])
    low, high = (np.array([float(record[end]) for record in records]) for end in ("low", "high"))
    if background.height:
        error = np.abs(np.stack([shares - low, high - shares]))
        axes.barh(
            labels,
            shares,
            xerr=error,
            color=[_BAR] * (len(labels) - 1) + [_UNKNOWN_COLOUR],
            capsize=3,
        )
    axes.invert_yaxis()
    axes.set(
        xlabel="share of all images", xlim=(0, 1), title=f"Background (n = {background.height:,})"
    )
    axes.xaxis.set_major_formatter(_percent)
    return figure


def _percent(share: float, _: float) -> str:
    return f"{share:.0%}"
