"""What smaller models save and what they cost, as a chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.figures import PALETTE, new_figure, shown_word
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.robustness.benchmark import CLEAN
from iip_assets.robustness.compression import GROUP_METRIC
from iip_assets.robustness.variants import ORIGINAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALT = "Change of each smaller model, of all images and of the group that loses most"
_MILLION = 1e6
_WORST = "judged group that loses most"
_LOOKS = {"all images": (PALETTE[0], "o"), _WORST: (PALETTE[5], "s")}


def compression_figure(
    tables: Mapping[str, pl.DataFrame], latency: Mapping[str, Mapping[str, float]] | None = None
) -> Figure:
    """A panel for each model: the change of its metric by smaller model, with intervals.

    All images, and the group that can be judged and loses most. Beside each name stand its size
    and its latency as shares of the original's, where that is known.
    """
    rows = tables["tradeoff"].filter(corruption=CLEAN)
    models = rows["model"].unique(maintain_order=True).to_list()
    count = sum(rows.filter(model=one)["variant"].n_unique() for one in models)
    figure = new_figure(7.5, 1.2 + 0.42 * count + 0.5 * len(models))
    panels = figure.subplots(len(models), 1, squeeze=False)[:, 0]
    for axes, model in zip(panels, models, strict=True):
        own = rows.filter(model=model, metric=GROUP_METRIC[model])
        _panel(axes, own, _names(model, tables["sizes"], (latency or {}).get(model, {})))
        axes.set_title(f"{model}: change of {spelled(GROUP_METRIC[model])}", fontsize=9, loc="left")
    found = {
        label: handle
        for axes in panels
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(found.values(), found, loc="outside lower center", ncols=2, fontsize=8)
    return figure


def worst_group(rows: pl.DataFrame, variant: str) -> dict[str, Any] | None:
    """Of the rows of one metric on clean images, the judged group that loses most by a model."""
    judged = rows.filter(pl.col("p_holm").is_not_null(), variant=variant).sort("difference")
    return judged.row(0, named=True) if judged.height else None


def _panel(axes: Axes, rows: pl.DataFrame, names: Mapping[str, str]) -> None:
    axes.axvline(0, color="#808080", linewidth=0.8)
    for place, variant in enumerate(names):
        overall = rows.filter(variant=variant, axis=OVERALL).row(0, named=True)
        worst = worst_group(rows, variant)
        for row, at, label in ((overall, -0.13, "all images"), (worst, 0.13, _WORST)):
            if row is None:
                continue
            low, high = (row[f"difference_{end}"] for end in ("low", "high"))
            colour, marker = _LOOKS[label]
            axes.errorbar(
                [row["difference"]],
                [place + at],
                xerr=None
                if low is None
                else [[row["difference"] - low], [high - row["difference"]]],
                color=colour,
                marker=marker,
                markersize=5,
                linestyle="none",
                label=None if place else label,
            )
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
        saved = f"{size / whole:.0%} of {whole / _MILLION:.1f} MB"
        if variant in latency:
            share = latency[variant] / latency[ORIGINAL]
            saved += f", {share:.0%} of {latency[ORIGINAL]:.1f} ms"
        names[variant] = f"{spelled(variant)}\n{saved}"
    return names
