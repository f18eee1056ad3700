"""Explained images as people see them: the image, and over it what counted for the model."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from numpy.typing import NDArray

from iip_assets.engine.figures import new_figure
from iip_assets.images.contact_sheet import GAP_PX

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = NDArray[np.uint8]

# Blue, grey, yellow: the same to people of any colour vision (Nuñez, Anderton and Renslow 2018).
_COLOURS = "cividis"
# Of the strongest cell; a cell that counts nothing is clear.
_OPAQUE = 0.8
TILE_WIDTH, TILE_HEIGHT = 240, 180
# Okabe and Ito (2008).
_TRUE, _SAID, _HALO = (255, 255, 255), (213, 94, 0), (0, 0, 0)
_COLUMNS = 2
LEGEND = (
    "White line: what is true. Orange line: what the segmenter said. Colours are on each image's "
    "own scale."
)


def explained_tile(image: Image, row: Mapping[str, Any]) -> Image:
    """The image beside itself in grey with its attribution, (height, width, 3).

    Args:
        image: (H, W, 3).
        row: `rows`, `columns`, `attribution`, and `true_outline` and `said_outline`, if any.
    """
    # Small images are enlarged, so that lines stay thin.
    scale = min(TILE_WIDTH / image.shape[1], TILE_HEIGHT / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
    values = np.array(row["attribution"], np.float32).reshape(row["rows"], row["columns"])
    seen = overlay(small, values)
    for name, colour in (("true_outline", _TRUE), ("said_outline", _SAID)):
        draw_outline(seen, row.get(name), _HALO, thickness=3)
        draw_outline(seen, row.get(name), colour, thickness=1)
    gap = np.full((small.shape[0], GAP_PX, 3), 255, np.uint8)
    return np.hstack([small, gap, seen])


def overlay(image: Image, values: NDArray[np.float32]) -> Image:
    """The image (H, W, 3) in grey under the colours of its cells' values, (rows, columns).

    Blue is the most that is below 0, yellow the most that is above, on one scale for both.
    """
    height, width = image.shape[:2]
    smooth = cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR)
    share = smooth / max(float(np.abs(values).max()), 1e-12)
    colours = colormaps[_COLOURS]((share + 1) / 2)[:, :, :3] * 255
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[:, :, None].astype(np.float64)
    opaque = _OPAQUE * np.abs(share)[:, :, None]
    return np.asarray(np.clip(np.round(grey * (1 - opaque) + colours * opaque), 0, 255), np.uint8)


def draw_outline(
    image: NDArray[np.uint8],
    outline: str | None,
    colour: Sequence[int],
    *,
    thickness: int,
) -> None:
    """Draws an outline of `outlines.outline_of` into the image (H, W, 3)."""
    if outline is None:
        return
    height, width = image.shape[:2]
    for polygon in json.loads(outline):
        points = np.round(np.array(polygon) * (width, height) - 0.5).astype(np.int32)
        cv2.polylines(image, [points], True, tuple(colour), thickness, cv2.LINE_AA)


def explained_figure(tiles: Sequence[Image], captions: Sequence[str], score: str) -> Figure:
    """Tiles with their captions, and the legend of the colours.

    Args:
        tiles: Of `explained_tile`.
        captions: Of each.
        score: What falls when a part is hidden, in words.
    """
    lines = -(-max(1, len(tiles)) // _COLUMNS)
    figure = new_figure(4.9 * _COLUMNS, 2.35 * lines + 1.0)
    grid = figure.subplots(lines, _COLUMNS, squeeze=False)
    for place, axes in enumerate(grid.ravel()):
        axes.set_axis_off()
        if place < len(tiles):
            axes.imshow(tiles[place])
            axes.set_title(
                textwrap.fill(captions[place].replace("$", r"\$"), 70), fontsize=8, loc="left"
            )
    _colour_bar(figure, grid.ravel().tolist(), score)
    return figure


def legend_figure(score: str) -> Figure:
    """The legend of the colours alone."""
    figure = new_figure(6.5, 0.9)
    axes = figure.subplots()
    axes.set_axis_off()
    _colour_bar(figure, [axes], score)
    return figure


def _colour_bar(figure: Figure, axes: Sequence[Any], score: str) -> None:
    bar = figure.colorbar(
        ScalarMappable(cmap=_COLOURS),
        ax=list(axes),
        location="bottom",
        ticks=[0.0, 0.5, 1.0],
        fraction=0.9 if len(axes) == 1 else 0.03,
        aspect=50,
    )
    labels = bar.ax.set_xticklabels(["rises the most", "stays", "falls the most"], fontsize=8)
    sides: tuple[Literal["left", "center", "right"], ...] = ("left", "center", "right")
    for label, side in zip(labels, sides, strict=True):
        label.set_horizontalalignment(side)
    bar.set_label(f"{score} when this part is hidden", fontsize=8)
