"""The plot of a model beside what it is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iip_assets.engine.figures import PALETTE, new_figure
from iip_assets.metrics.display_names import spelled
from iip_assets.report.formats import count, interval, number
from iip_assets.report.reference_points import CHAMPION, PEOPLE, PRESENT, TRIVIAL, called

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour and mark of each; a filled mark is the present model.
_LOOKS = {
    PRESENT: (PALETTE[0], "o"),
    TRIVIAL: ("#777777", "X"),
    PEOPLE: (PALETTE[5], "s"),
    CHAMPION: (PALETTE[2], "*"),
}
_ROW_IN = 0.3


def reference_points_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """A line each with its interval and its number; groups of the same images stand together.

    Args:
        rows: Records of `reference points`, of one model.
    """
    groups = list(dict.fromkeys(row["on"] for row in rows))
    figure = new_figure(8.0, 0.7 + _ROW_IN * (len(rows) + len(groups)))
    axes = figure.add_subplot()
    place, ticks = 0, {}
    for group in groups:
        axes.text(0.0, place, f"{group}:", fontsize=8, color="#444444", va="center")
        for row in (row for row in rows if row["on"] == group):
            place += 1
            ticks[place] = called(row)
            _draw(axes, place, row)
        place += 1
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=9)
    axes.set_ylim(place - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xlabel(spelled(rows[0]["metric"]), fontsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure


def _draw(axes: Axes, place: int, row: Mapping[str, Any]) -> None:
    colour, mark = _LOOKS[row["who"]]
    numbers = f"{number(row['value'])} ({interval(row)}), n = {count(row['n_images'])}"
    few = "" if row["enough"] else ", few subjects"
    axes.annotate(
        numbers + few,
        (1.0, place),
        xytext=(8, 0),
        textcoords="offset points",
        fontsize=8,
        va="center",
        annotation_clip=False,
    )
    if row["value"] is None:
        return
    if row["low"] is not None and row["high"] is not None:
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2)
    axes.plot(
        row["value"],
        place,
        marker=mark,
        color=colour,
        markerfacecolor=colour if row["enough"] else "white",
        markersize=10 if mark == "*" else 7,
        linestyle="none",
    )
