"""Regions that a labeler marked, and the one mask that they make together.

Where regions overlap, the later class of `dataset.mask_classes` is seen: an iris that was outlined
as a whole disc does not hide its pupil. `not_labelled` goes over all classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.schema import LABELS
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.ingest.json_file import BadEntry, as_list, as_number
from iip_assets.ingest.polygons import TooTangled, fill_polygon

NOT_LABELLED_WORD = "not_labelled"
"""The class that marks pixels which nobody judged; they are 255 in a mask."""

_FEWEST_POINTS = 3
# Hands slip over the image's edge, by no more than this share of its side.
_OUTSIDE = 0.1

Fill = Callable[[int, int], NDArray[np.bool_]]
"""Gives the pixels (H, W) of a region for a height and a width, or raises `BadEntry`."""


@dataclass(frozen=True)
class Region:
    """One region.

    Attributes:
        value: Its class: an index into the mask classes, or 255.
        fill: Gives its pixels.
        row: The entry of the export that it stands in.
    """

    value: int
    fill: Fill
    row: int


def class_values(mask_classes: Sequence[str]) -> dict[str, int]:
    """The mask value of each class by its name in lower case, `not_labelled` included."""
    values = {NOT_LABELLED_WORD: NOT_LABELLED}
    values |= {name.lower(): index for index, name in enumerate(mask_classes)}
    return values


def unknown_class(name: str, values: Iterable[str], column: str) -> BadEntry:
    """The problem of a class that is none of the mask classes."""
    return BadEntry(
        column,
        name,
        f"not a class that is known here; known are {', '.join(values)}",
        f"rename it in the labeling tool, or add {name.lower()!r} to dataset.mask_classes in "
        f"iip.toml; whole images are labelled {', '.join(LABELS)}",
    )


def paint(regions: Sequence[Region], *, height: int, width: int) -> NDArray[np.uint8]:
    """The mask (H, W) of the regions; what none of them covers is class 0.

    Raises:
        BadEntry: A region gives no pixels of this size.
    """
    mask = np.zeros((height, width), np.uint8)
    # Stable, and 255 is above every class.
    for region in sorted(regions, key=lambda region: region.value):
        mask[region.fill(height, width)] = region.value
    return mask


def polygon_pixels(
    coordinates: Sequence[Any], column: str, *, height: int, width: int, scale: tuple[float, float]
) -> NDArray[np.bool_]:
    """The pixels (H, W) inside a polygon.

    Args:
        coordinates: Pairs of x and y.
        column: Where they stand, for the problem.
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        scale: What x and y are multiplied by to be pixels.

    Raises:
        BadEntry: Fewer than three points, no numbers, or far outside of the image.
    """
    fix = "draw the region again"
    if len(coordinates) < _FEWEST_POINTS:
        raise BadEntry(column, None, f"a polygon of {len(coordinates)} points", fix)
    pairs = [as_list(pair, column) for pair in coordinates]
    if any(len(pair) != 2 for pair in pairs):
        raise BadEntry(column, None, "a point that is not a pair of x and y", fix)
    points = np.array([[as_number(one, column) for one in pair] for pair in pairs]) * scale
    beyond = np.maximum(-points, points - (width, height)) > (_OUTSIDE * width, _OUTSIDE * height)
    if beyond.any():
        x, y = points[np.flatnonzero(beyond.any(axis=1))[0]]
        reason = f"the point {x:.0f}, {y:.0f} lies outside of the image of {width}×{height} pixels"
        raise BadEntry(column, None, reason, fix)
    try:
        return fill_polygon(points, height=height, width=width)
    except TooTangled as error:
        raise BadEntry(column, None, f"a polygon that nobody drew: {error}", fix) from error
