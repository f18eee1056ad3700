"""The plot of a training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from iip_assets.engine.figures import PALETTE, new_figure
from iip_assets.metrics.display_names import spelled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def history_figure(notes: Mapping[str, Any]) -> Figure:
    """The numbers of a training by epoch, and which epoch was kept: `history`, `best_epoch`."""
    history = notes["history"]
    figure = new_figure(7.2, 3.0)
    names = [name for name in (history[0] if history else {}) if name != "epoch"]
    losses = [name for name in names if name.endswith("loss")]
    groups = [group for group in (losses, [name for name in names if name not in losses]) if group]
    if not groups:
        figure.text(0.5, 0.5, "nothing was trained", ha="center")
    for column, group in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), column + 1)
        for place, name in enumerate(group):
            epochs = [row["epoch"] + 1 for row in history if name in row]
            axes.plot(
                epochs,
                [row[name] for row in history if name in row],
                color=PALETTE[place],
                marker="os"[place % 2],
                markersize=3,
                label=spelled(name),
            )
        axes.axvline(notes["best_epoch"] + 1, color="black", linewidth=0.8, linestyle=":")
        axes.set_xlabel("epoch (dotted: the one that was kept)")
        axes.legend(fontsize=8)
    return figure
