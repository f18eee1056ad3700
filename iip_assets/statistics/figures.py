"""Plots of the statistics. Numbers come ready from the tables; here is only layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.statistics.capture_conditions import BACKGROUNDS, LIGHTING, word_counts
from iip_assets.statistics.demographics import DEMOGRAPHIC_AXES, natural_key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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

_SHORT = PALETTE[5]

# More bars than this are no longer read: the largest are shown, the title counts the rest.
_MOST_BARS = 15


def lighting_figure(
    statistics: pl.DataFrame, lighting: pl.DataFrame, *, limits: Mapping[str, float]
) -> Figure:
    """Brightness by lighting as stacked bars, with limits; and brightness against contrast."""
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
    """Images by background."""
    records = word_counts(background, "background", BACKGROUNDS)
    figure = new_figure(6.0, 2.4)
    axes = figure.subplots()
    labels = [f"{record['background']} ({record['n']:,})" for record in records]
    shares = np.array([float(record["share"]) for record in records])
    if background.height:
        axes.barh(labels, shares, color=[_BAR] * (len(labels) - 1) + [_UNKNOWN_COLOUR])
    axes.invert_yaxis()
    axes.set(
        xlabel="share of all images", xlim=(0, 1), title=f"Background (n = {background.height:,})"
    )
    axes.xaxis.set_major_formatter(_percent)
    return figure


def _percent(share: float, _: float) -> str:
    return f"{share:.0%}"


def coverage_figure(table: pl.DataFrame, *, tolerance: float) -> Figure:
    """Shares by axis (of `demographic_table`) with intervals; a mark where there is a target.

    A share below target × (1 - tolerance) is coloured as short.
    """
    by_axis = {
        axis: [record for record in table.to_dicts() if record["axis"] == axis]
        for axis in DEMOGRAPHIC_AXES
    }
    shown = {
        axis: _most(records)
        for axis, records in by_axis.items()
        if any(record[name] is not None for record in records for name in ("known_share", "target"))
    }
    if not shown:
        return _empty_figure("no image has a known age, gender, ethnicity, geography or device")
    heights = [len(records) + 1.6 for records in shown.values()]
    figure = new_figure(7.5, 0.24 * sum(heights) + 0.4)
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for panel, (axis, records) in zip(panels, shown.items(), strict=True):
        _coverage_panel(panel, records, tolerance)
        left_out = len(by_axis[axis]) - len(records)
        rest = f" ({left_out} smaller values not shown)" if left_out else ""
        panel.set_title(axis + rest, loc="left", size=9)
    panels[-1].set_xlabel("share of the known, with interval (unknown: share of all)")
    return figure


def _coverage_panel(panel: Axes, records: list[dict[str, Any]], tolerance: float) -> None:
    labels = [f"{shown_word(record['value'])} ({record['n']:,})" for record in records]
    for place, record in enumerate(records):
        known = record["known_share"] is not None
        share = record["known_share"] if known else record["share"] or 0.0
        target = record["target"]
        short = target is not None and share < target * (1 - tolerance)
        colour = _SHORT if short else _BAR if known else _UNKNOWN_COLOUR
        panel.barh(
            place,
            share,
            color=colour,
            height=0.75,
            hatch="//" if short else None,
            edgecolor="white",
        )
        if record["low"] is not None:
            panel.plot([record["low"], record["high"]], [place, place], color="black", linewidth=1)
        if target is not None:
            panel.plot(
                [target, target], [place - 0.45, place + 0.45], color=PALETTE[1], linewidth=3
            )
    panel.set_yticks(range(len(labels)), labels, fontsize=8)
    panel.invert_yaxis()
    panel.set_xlim(0, 1)
    panel.xaxis.set_major_formatter(_percent)
    panel.tick_params(axis="x", labelsize=7)


def intersection_figure(
    table: pl.DataFrame, pairs: list[tuple[str, str]], *, min_images: int
) -> Figure:
    """Counts of images in the cells of two axes each, from `demographic_table`, a panel a pair.

    Cells below `min_images`, which say nothing, are framed.
    """
    grids = [grid for pair in pairs if (grid := _grid(table, *pair)) is not None]
    if not grids:
        return _empty_figure("no two axes have known values")
    widths = [len(columns) + 1.5 for _, _, _, columns, _ in grids]
    tallest = max(len(rows) for _, _, rows, _, _ in grids)
    figure = new_figure(0.75 * sum(widths) + 0.5, 0.36 * tallest + 1.7)
    panels = figure.subplots(1, len(grids), squeeze=False, width_ratios=widths)[0]
    for panel, (first, second, rows, columns, counts) in zip(panels, grids, strict=True):
        # The root lets small cells differ in colour; the numbers say the rest.
        panel.imshow(
            np.sqrt(counts),
            cmap="cividis",
            aspect="auto",
            vmin=0,
            vmax=max(1.0, np.sqrt(counts.max())),
        )
        names = [[shown_word(name, 24) for name in names] for names in (columns, rows)]
        panel.set_xticks(range(len(columns)), names[0], rotation=45, ha="right", fontsize=8)
        panel.set_yticks(range(len(rows)), names[1], fontsize=8)
        panel.set_title(f"{first} × {second}", size=9)
        for y, x in np.ndindex(*counts.shape):
            n = int(counts[y, x])
            light = np.sqrt(n) > 0.6 * np.sqrt(max(1, counts.max()))
            panel.text(
                x,
                y,
                f"{n:,}" + ("" if n >= min_images else " !"),
                ha="center",
                va="center",
                size=7,
                color="black" if light else "white",
            )
    figure.suptitle(f"Images by intersection (! fewer than {min_images})", size=10)
    return figure


def _grid(
    table: pl.DataFrame, first: str, second: str
) -> tuple[str, str, list[str], list[str], np.ndarray] | None:
    cells = {
        tuple(record["value"].split(" × ")): record["n"]
        for record in table.filter(pl.col("axis") == f"{first}×{second}").to_dicts()
    }
    rows = sorted({cell[0] for cell in cells}, key=natural_key)
    columns = sorted({cell[1] for cell in cells}, key=natural_key)
    if set(rows) <= {UNKNOWN} or set(columns) <= {UNKNOWN}:
        return None
    counts = np.array(
        [[cells.get((row, column), 0) for column in columns] for row in rows], dtype=np.float64
    )
    return first, second, rows, columns, counts


def _most(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records with the largest counts or a target, in their order."""
    if len(records) <= _MOST_BARS:
        return records
    ranked = sorted(records, key=lambda record: (record["target"] is None, -record["n"]))
    kept = {record["value"] for record in ranked[:_MOST_BARS]}
    return [record for record in records if record["value"] in kept]


def _empty_figure(text: str) -> Figure:
    figure = new_figure(6.0, 1.0)
    axes = figure.subplots()
    axes.text(0.5, 0.5, text, ha="center", va="center")
    axes.set_axis_off()
    return figure
