"""Polygons to pixels. A pixel is inside when its centre is, by the even-odd rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Edges times the rows that they cross: a drawn outline has thousands; a made-up one could keep a
# machine busy for hours.
_MOST_CROSSINGS = 20_000_000
_CHUNK = 1_000_000


class TooTangled(ValueError):
    """A polygon crosses so many rows so often that nobody drew it."""


def fill_polygon(points: NDArray[np.float64], *, height: int, width: int) -> NDArray[np.bool_]:
    """Fill one closed polygon; what lies outside the image is cut off.

    Args:
        points: (N, 2) x and y in pixels; (0, 0) is the corner of the first pixel, not its centre.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        (H, W), True inside.

    Raises:
        TooTangled: It has more crossings than are ever drawn.
    """
    begin, end = points, np.roll(points, -1, axis=0)
    top, bottom = np.minimum(begin[:, 1], end[:, 1]), np.maximum(begin[:, 1], end[:, 1])
    # Rows whose centre lies in [top, bottom): a corner counts for one of its two edges.
    first = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
    rows = np.clip(np.ceil(bottom - 0.5), 0, height).astype(np.int64) - first
    crossed = np.flatnonzero(rows > 0)
    if int(rows[crossed].sum()) > _MOST_CROSSINGS:
        raise TooTangled(f"its edges cross {int(rows[crossed].sum()):,} rows of pixels")
    toggled = np.zeros((height, width + 1), np.uint8)
    for edges in _chunks(crossed, rows):
        edge = np.repeat(edges, rows[edges])
        offset = np.arange(len(edge)) - np.repeat(np.cumsum(rows[edges]) - rows[edges], rows[edges])
        row = first[edge] + offset
        slope = (end[edge, 0] - begin[edge, 0]) / (end[edge, 1] - begin[edge, 1])
        x = begin[edge, 0] + (row + 0.5 - begin[edge, 1]) * slope
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.bitwise_xor.at(toggled, (row, column), np.uint8(1))
    inside: NDArray[np.bool_] = np.bitwise_xor.accumulate(toggled, axis=1)[:, :width].astype(bool)
    return inside


def _chunks(edges: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The edges in parts of about a million crossings each, so that memory stays bounded."""
    part = np.cumsum(rows[edges]) // _CHUNK
    return np.split(edges, np.flatnonzero(np.diff(part)) + 1)
