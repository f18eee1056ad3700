"""The price chart of remedies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import polars as pl

from iip_assets.fairness.tradeoff import METRICS, NONE
from iip_assets.figures import PALETTE, new_figure
from iip_assets.metrics.names import spelled
from iip_assets.settings import RemedyName

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ALT = "The group that fares worst against all images, by remedy and strength"
# Told apart by colour and by shape, of both models alike.
_COLOURS = [PALETTE[place] for place in (7, 0, 4, 5, 2, 3, 1)]
_LOOKS = dict(
    zip((NONE, *get_args(RemedyName)), zip(_COLOURS, "osD^vPX", strict=True), strict=True)
)


def tradeoff_figure(tables: Mapping[str, pl.DataFrame]) -> Figure:
    """The worst group over all images: a path for each remedy along its strengths.

    Crosses span the seeds, dots are the seeds without a remedy, the steps are the Pareto front.
    """
    points, seeds = tables["tradeoff"], tables["trials"].filter(remedy=NONE)
    figure = new_figure(7.0, 4.8)
    axes = figure.add_subplot()
    front = points.filter("pareto").sort("overall")
    x, y = front["overall"], front["worst"]
    axes.step(x, y, where="pre", color="#B5B5B5", label="Pareto front")
    x, y = seeds["overall"], seeds["worst"]
    axes.scatter(x, y, s=9, color=_COLOURS[0], label="seeds of none")
    names = points["remedy"].unique(maintain_order=True)
    for remedy in names:
        colour, marker = _LOOKS[remedy]
        part = points.filter(remedy=remedy).sort("strength")
        x, y = part["overall"], part["worst"]
        across, up = (
            [(part[name] - part[name + end]).abs() for end in ("_least", "_largest")]
            for name in ("overall", "worst")
        )
        bars = axes.errorbar(x, y, up, across, color=colour, elinewidth=0.7, label=spelled(remedy))
        bars.lines[0].set_marker(marker)
        for at, over, strength in zip(x, y, part["strength"], strict=True):
            if remedy != NONE:
                axes.annotate(f" {strength:g}", (at, over), va="bottom", fontsize=7)
    overall, of_group = METRICS[points["model"][0]]
    axes.set_xlabel(overall)
    axes.set_ylabel(f"{of_group}, worst group")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=5, fontsize=8)
    return figure
