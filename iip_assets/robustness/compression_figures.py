"""What smaller models save and what they cost, as a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.robustness.benchmark import CLEAN
from iip_assets.robustness.variants import ORIGINAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALT = "Change of each smaller model, of all images and of the group that loses most"
_LOOKS = {
    "all images": {"color": PALETTE[0], "marker": "o"},
    "judged group that loses most": {"color": PALETTE[5], "marker": "s"},
}


def compression_figure(
    tables: Mapping[str, pl.DataFrame], latency: Mapping[str, Mapping[str, float]] | None = None
) -> Figure:
    """A panel for each model: the change of its metric by smaller model, with intervals.

    All images, and the group that can be judged and loses most. Beside each name stand its size
    and its latency as shares of the original's, where that is known.
    """
    rows = tables["tradeoff"].filter(corruption=CLEAN)
    parts = rows.partition_by("model", maintain_order=True)
    count = sum(part["variant"].n_unique() for part in parts)
    figure = new_figure(7.5, 1.2 + 0.42 * count + 0.5 * len(parts))
    panels = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
    known: dict[str, Any] = {}
    for axes, part in zip(panels, parts, strict=True):
        model, metric = part.select("model", "metric").row(0)
        _panel(axes, part, _names(model, tables["sizes"], (latency or {}).get(model, {})))
        axes.set_title(f"{model}: change of {spelled(metric)}", fontsize=9, loc="left")
        handles, labels = axes.get_legend_handles_labels()
        known |= dict(zip(labels, handles, strict=True))
    figure.legend(known.values(), known, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def worst_group(rows: pl.DataFrame) -> dict[str, Any] | None:
    """Of the rows of one smaller model, the judged group that loses most."""
    judged = rows.filter(pl.col("p_holm").is_not_null()).sort("difference")
    return judged.row(0, named=True) if judged.height else None


def _panel(axes: Axes, rows: pl.DataFrame, names: Mapping[str, str]) -> None:
    axes.axvline(0, color="#808080", linewidth=0.8)
    for place, variant in enumerate(names):
        own = rows.filter(variant=variant)
        worst = worst_group(own)
        shown = (own.filter(axis=OVERALL).row(0, named=True), worst)
        for row, at, (label, look) in zip(shown, (-0.13, 0.13), _LOOKS.items(), strict=True):
            if row is None:
                continue
            ends = (row["difference_low"], row["difference_high"])
            width = None if None in ends else [[abs(row["difference"] - one)] for one in ends]
            given: dict[str, Any] = {**look, "label": None if place else label}
            axes.errorbar([row["difference"]], [place + at], xerr=width, linestyle="none", **given)
        if worst is not None:
            text = f"  {shown_word(worst['slice'], 24)}, n = {worst['n_images']}"
            right = (worst["difference_high"], place + 0.13)
            axes.annotate(text, right, va="center", fontsize=7, color=PALETTE[5])
    axes.set_yticks(range(len(names)), list(names.values()), fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.15)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.3)


def _names(model: str, sizes: pl.DataFrame, latency: Mapping[str, float]) -> dict[str, str]:
    """By smaller model its name with what it saves."""
    found = dict(sizes.filter(model=model).select("variant", "bytes").iter_rows())
    whole = found.pop(ORIGINAL)
    names = {}
    for variant, size in found.items():
        saved = f"{size / whole:.0%} of {whole / 1e6:.1f} MB"
        if variant in latency:
            share = latency[variant] / latency[ORIGINAL]
            saved += f", {share:.0%} of {latency[ORIGINAL]:.1f} ms"
        names[variant] = f"{spelled(variant)}\n{saved}"
    return names
