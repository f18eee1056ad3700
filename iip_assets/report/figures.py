"""Plots that the report alone has: values with intervals, and metrics over severity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import count, estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SLICES = 45
_GREY = "#777777"
_GRID: dict[str, Any] = {"color": "#dddddd", "linewidth": 0.6}
_ROW_IN = 0.3
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Colour and mark by who it is; a filled mark has enough subjects.
_LOOKS = {
    "present model": (PALETTE[0], "o"),
    "trivial baseline": (_GREY, "X"),
    "people": (PALETTE[5], "s"),
    "champion": (PALETTE[2], "*"),
}

Record = Mapping[str, Any]


def forest_figure(rows: Sequence[Record], overall: Record | None) -> Figure:
    """A metric by slice with intervals, beside its overall value; small slices hollow and grey.

    Args:
        rows: Records of one model; where there are too many, the small slices are left out first.
        overall: The overall record.
    """
    axes_known = {row["axis"] for row in rows if row["slice"] != UNKNOWN}
    # Where nothing is known of an axis, its one slice is the overall value once more.
    known = [row for row in rows if row["value"] is not None and row["axis"] in axes_known]
    largest = sorted(known, key=lambda row: (not row["enough"], -row["n_images"]))[:MOST_SLICES]
    shown = sorted(largest, key=lambda row: (row["axis"], row["slice"]))
    figure = new_figure(8.0, 1.0 + 0.22 * max(3, len(shown)))
    axes = figure.add_subplot()
    for place, row in enumerate(shown):
        colour, mark = (PALETTE[0], "o") if row["enough"] else (_GREY, "D")
        _value_with_interval(axes, place, row, colour, mark, size=5, line=1.6)
    if overall and overall["value"] is not None:
        axes.axvline(overall["value"], color=PALETTE[5], linewidth=1.2, linestyle="--")
        text, end = f"overall {overall['value']:.3f}", (overall["value"], -0.9)
        axes.annotate(text, end, fontsize=8, color="#9c4400", ha="right")
    labels = [
        f"{row['axis']} {shown_word(row['slice'])} (n = {row['n_images']})"
        + ("" if row["enough"] else ", too few")
        for row in shown
    ]
    axes.set_yticks(range(len(shown)), labels, fontsize=8)
    axes.set_ylim(len(shown) - 0.4, -1.4)
    _horizontal(axes, shown[0]["metric"] if shown else "")
    return figure


def reference_points_figure(rows: Sequence[Record]) -> Figure:
    """One model's `reference_points`, a line each; those on the same images stand together."""
    groups = list(dict.fromkeys(row["on"] for row in rows))
    figure = new_figure(8.0, 0.7 + _ROW_IN * (len(rows) + len(groups)))
    axes = figure.add_subplot()
    place, ticks = 0, {}
    for group in groups:
        axes.text(0.0, place, f"{shown_word(group, 60)}:", fontsize=8, color="#444444", va="center")
        for row in (row for row in rows if row["on"] == group):
            place += 1
            ticks[place] = shown_word(display_name(row))
            colour, mark = _LOOKS[row["who"]]
            size = 10 if mark == "*" else 7
            _value_with_interval(axes, place, row, colour, mark, size=size, line=2)
            axes.annotate(
                f"{estimate(row['value'], row['low'], row['high'])}, "
                f"n = {count(row['n_images'])}{'' if row['enough'] else ', few subjects'}",
                (1.0, place),
                xytext=(8, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                annotation_clip=False,
            )
        place += 1
    axes.set_yticks(list(ticks), list(ticks.values()), fontsize=9)
    axes.set_ylim(place - 0.4, -0.6)
    axes.set_xlim(0, 1)
    _horizontal(axes, rows[0]["metric"])
    axes.tick_params(axis="y", length=0)
    return figure


def display_name(row: Record) -> str:
    """Who a reference point is, a champion with its version."""
    name = str(row["who"])
    return name if row["version"] is None else f"{name} (version {row['version']})"


def _value_with_interval(
    axes: Axes, place: float, row: Record, colour: str, mark: str, *, size: float, line: float
) -> None:
    if row["value"] is None:
        return
    if row["low"] is not None and row["high"] is not None:
        axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=line)
    axes.plot(
        row["value"],
        place,
        marker=mark,
        color=colour,
        markerfacecolor=colour if row["enough"] else "white",
        markersize=size,
        linestyle="none",
    )


def _horizontal(axes: Axes, metric: str) -> None:
    """Makes values read from left to right."""
    if metric:
        axes.set_xlabel(spelled(metric), fontsize=9)
    axes.grid(axis="x", **_GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
