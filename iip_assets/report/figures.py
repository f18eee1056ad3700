"""The report's own plots: slices with intervals, and what corruptions cost."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iip_assets.engine.figures import PALETTE, new_figure
from iip_assets.metrics.display_names import spelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

MOST_SLICES = 45
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DOTS_PER_INCH = 144
GREY = "#777777"


@dataclass(frozen=True)
class EmbeddedFigure:
    """An image inside the page.

    Attributes:
        uri: A data URI.
        alt: What it shows, in words.
        width_px: How wide it stands on the page where there is room; None for its own width.
    """

    uri: str
    alt: str
    width_px: int | None = None


def embed_figure(figure: Figure, alt: str) -> EmbeddedFigure:
    """The plot as a PNG that is sharp on dense screens."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    width_px = round(figure.get_figwidth() * 100)
    return EmbeddedFigure(f"data:image/png;base64,{encoded}", alt, width_px)


def forest_figure(rows: Sequence[dict[str, Any]], overall: dict[str, Any] | None) -> Figure:
    """A metric by slice with intervals, beside its overall value; small slices hollow and grey.

    Args:
        rows: Records of `slice_table`; where there are too many, the small slices are left out
            first.
        overall: The overall record.
    """
    known = [row for row in rows if row["value"] is not None]
    shown = sorted(
        sorted(known, key=lambda row: (not row["enough"], -row["n_images"]))[:MOST_SLICES],
        key=lambda row: (row["axis"], row["slice"]),
    )
    figure = new_figure(8.0, 1.0 + 0.22 * max(3, len(shown)))
    axes = figure.add_subplot()
    for place, row in enumerate(shown):
        colour = PALETTE[0] if row["enough"] else GREY
        if row["low"] is not None and row["high"] is not None:
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.6)
        axes.plot(
            row["value"],
            place,
            marker="o" if row["enough"] else "D",
            color=colour,
            markerfacecolor=colour if row["enough"] else "white",
            markersize=5,
            linestyle="none",
        )
    if overall and overall["value"] is not None:
        axes.axvline(overall["value"], color=PALETTE[5], linewidth=1.2, linestyle="--")
        axes.annotate(
            f"overall {overall['value']:.3f}",
            (overall["value"], -0.9),
            fontsize=8,
            color="#9c4400",
            ha="right",
        )
    labels = [
        f"{row['axis']} {plain(row['slice'])} (n = {row['n_images']})"
        + ("" if row["enough"] else ", too few")
        for row in shown
    ]
    axes.set_yticks(range(len(shown)), labels, fontsize=8)
    axes.set_ylim(len(shown) - 0.4, -1.4)
    if shown:
        axes.set_xlabel(spelled(shown[0]["metric"]), fontsize=9)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    return figure


def robustness_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """A panel for each model, a curve for each corruption, with intervals as bands.

    Args:
        rows: Records of `robustness_table`.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    corruptions = sorted({row["corruption"] for row in rows})
    figure = new_figure(4.2 * max(1, len(models)), 3.4)
    for index, model in enumerate(models):
        axes = figure.add_subplot(1, len(models), index + 1)
        for row in rows:
            if row["model"] != model:
                continue
            style = corruptions.index(row["corruption"])
            colour = PALETTE[style % len(PALETTE)]
            x = np.array(row["severities"], dtype=float)
            # A gap, not a zero, where a severity was not measured.
            y, low, high = (
                np.array([np.nan if v is None else v for v in row[key]])
                for key in ("values", "low", "high")
            )
            axes.plot(
                x,
                y,
                color=colour,
                marker=MARKERS[style % len(MARKERS)],
                markersize=4,
                label=spelled(row["corruption"]),
            )
            axes.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
        metric = next(row["metric"] for row in rows if row["model"] == model)
        axes.set(title=f"{model}: {spelled(metric)}", xlabel="severity (0 = clean)")
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    if models:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    return figure


def plain(text: str, most: int = 40) -> str:
    """A word of the data as a plot shows it: no mathematics, not endless."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short.replace("$", r"\$")
