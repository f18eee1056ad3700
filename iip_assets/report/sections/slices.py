"""Each model's main metric by slice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.engine.figures import PALETTE, new_figure
from iip_assets.evaluation.summary import headline, slice_rows
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    Block,
    Heading,
    NextStep,
    Paragraph,
    Section,
    Table,
    interval,
    plot,
)
from iip_assets.report.metrics import metric_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_SLICES = 45
MOST_STEPS = 2
GREY = "#777777"

Record = dict[str, Any]


def slices(model_evaluation: dict[str, pl.DataFrame]) -> Section:
    """Who the models fail, where there are enough images to say so."""
    metrics = model_evaluation["metrics"]
    tables, overall = {}, {}
    for model in TASKS:
        rows, whole = slice_rows(metrics, model), headline(metrics, model)
        if rows.height:
            tables[model] = [metric_record(row) for row in rows.iter_rows(named=True)]
        if whole is not None:
            overall[model] = metric_record(whole)
    text = (
        "Lines are 95% intervals, the dashed line is the overall value. Slices with too few "
        "held-out images are grey and hollow: do not read them as findings."
    )
    blocks: list[Block] = [Paragraph(text)] if tables else []
    for model, records in tables.items():
        blocks += _model_blocks(model, records, overall.get(model))
    steps = [
        step
        for model, records in tables.items()
        if model in overall and overall[model]["value"] is not None
        for step in _weak_slices(model, records, overall[model]["value"])
    ]
    steps += _small_slices([row for records in tables.values() for row in records])
    return Section("slices", "By slice", blocks, {"slices": tables}, steps=steps)


def forest_figure(rows: Sequence[Record], overall: Record | None) -> Figure:
    """A metric by slice with intervals, beside its overall value; small slices hollow and grey.

    Args:
        rows: Records of one model; where there are too many, the small slices are left out first.
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


def plain(text: str, most: int = 40) -> str:
    """A word of the data as a plot shows it: no mathematics, not endless."""
    short = text if len(text) <= most else text[: most - 1] + "…"
    return short.replace("$", r"\$")


def _model_blocks(model: str, rows: list[Record], overall: Record | None) -> list[Block]:
    alt = f"{spelled(rows[0]['metric'])} of the {model} by slice, with intervals"
    return [
        Heading(model.capitalize()),
        plot(lambda: forest_figure(rows, overall), alt),
        Table(
            "Held-out images by slice",
            ["axis", "slice", "metric", "value", "n_images", "enough"],
            rows,
            folded=f"The {model} by slice as a table",
        ),
    ]


def _weak_slices(model: str, rows: list[Record], overall: float) -> list[NextStep]:
    # Only where the whole interval lies below: a low value of few images is often luck.
    weak = [
        row
        for row in rows
        if row["enough"]
        and row["slice"] != UNKNOWN
        and row["high"] is not None
        and row["high"] < overall
    ]
    weak.sort(key=lambda row: (row["value"], row["axis"], row["slice"]))
    return [
        NextStep(
            1,
            f"The {model} is weaker on {row['axis']} {row['slice']}",
            f"{spelled(row['metric'])} {row['value']:.3f} ({interval(row['low'], row['high'])}, "
            f"n = {row['n_images']}) against {overall:.3f} overall. Many slices are compared, so a "
            "few of them lie low by chance: look at the failures before labeling more of these.",
        )
        for row in weak[:MOST_STEPS]
    ]


def _small_slices(rows: list[Record]) -> list[NextStep]:
    small = {
        (row["axis"], row["slice"]) for row in rows if not row["enough"] and row["slice"] != UNKNOWN
    }
    if not small:
        return []
    named = ", ".join(f"{axis} {name}" for axis, name in sorted(small)[:5])
    more = f" and {len(small) - 5} more" if len(small) > 5 else ""
    text = f"Too few held-out images in {named}{more}."
    return [NextStep(9, "Slices too small to judge", text)]
