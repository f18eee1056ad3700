"""Each change of a training image beside the image, with the mask's borders drawn in."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.engine.figures import new_figure
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.models.augment import LOOKS, WARPS, warped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_COLUMNS = 5
_BORDER = (255, 255, 255)


def augmentation_figure(image: NDArray[np.uint8], mask: NDArray[np.uint8], *, seed: int) -> Figure:
    """A tile for the image (H, W, 3) and one for each change; where a warp moves, so do borders.

    Args:
        image: A training image.
        mask: Its mask (H, W).
        seed: Of what the changes draw.
    """
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
