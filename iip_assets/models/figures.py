"""The models for people: short tables, plots of trainings and of augmentation."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import Files, MetadataValue, Rows
from iip_assets.figures import PALETTE, figure_markdown, new_figure
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.metrics.names import spelled
from iip_assets.models.augment import LOOKS, WARPS, warped

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def counts_by_split(examples: pl.DataFrame) -> Rows:
    """Images and groups of each split."""
    counted = examples.group_by("split").agg(
        images=pl.len().cast(pl.Int64), groups=pl.col("group_id").n_unique().cast(pl.Int64)
    )
    return Rows(counted.sort("split").to_dicts())


def model_summary(model: Files, notes: Mapping[str, Any], *, plot: str) -> dict[str, MetadataValue]:
    """A trained model for Dagster: what its card says, what was noted of its training, its plot."""
    return {
        **json.loads(model.parts["card.json"]),
        **{name: value for name, value in notes.items() if name != "history"},
        "epochs_trained": len(notes["history"]),
        "history_plot": figure_markdown(history_figure(notes), plot),
    }


# Beside the epoch, a number that has another scale in epochs which miss a floor.
_NOT_DRAWN = ("epoch", "validation_goal")


def history_figure(notes: Mapping[str, Any]) -> Figure:
    """The numbers of a training by epoch, and which epoch was kept: `history`, `best_epoch`."""
    history = notes["history"]
    figure = new_figure(7.2, 3.0)
    names = [name for name in (history[0] if history else {}) if name not in _NOT_DRAWN]
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


Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_COLUMNS = 5
_BORDER = (255, 255, 255)


def augmentation_figure(image: NDArray[np.uint8], mask: NDArray[np.uint8], *, seed: int) -> Figure:
    """A tile for the image (H, W, 3) and one for each change; where a warp moves, so do borders."""
    tiles: list[tuple[str, str, Pair]] = [("as it is", "", (image, mask))]
    for place, warp in enumerate(WARPS):
        rng = np.random.default_rng([seed, place])
        matrix = warp.matrix(image.shape[1], image.shape[0], rng)
        title = f"{warp.name} ({warp.share:.0%})"
        tiles.append((title, warp.reason, warped(image, mask, matrix)))
    for place, look in enumerate(LOOKS):
        rng = np.random.default_rng([seed, 100 + place])
        title = f"{look.name} ({look.share:.0%})"
        tiles.append((title, look.reason, (look.change(image, rng), mask)))
    rows = -(-len(tiles) // _COLUMNS)
    figure = new_figure(2.3 * _COLUMNS, 2.45 * rows)
    for place, (title, reason, pair) in enumerate(tiles):
        axes = figure.add_subplot(rows, _COLUMNS, place + 1)
        axes.imshow(_outlined(*pair))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(textwrap.fill(reason, 34), fontsize=7)
    return figure


def _outlined(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with the borders between labelled classes in white."""
    shown = image.copy()
    known = np.where(mask == NOT_LABELLED, 0, mask).astype(np.uint8)
    edges = cv2.morphologyEx(known, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    shown[edges & (mask != NOT_LABELLED)] = _BORDER
    return shown
