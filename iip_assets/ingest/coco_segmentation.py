"""COCO's `segmentation` to pixels: a list of polygons, whose union counts, or run lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.ingest.json_file import BadEntry, as_list
from iip_assets.ingest.regions import polygon_pixels
from iip_assets.ingest.rle import BadRuns, decode_counts, unpack_counts

_COLUMN = "annotations.segmentation"


def segmentation_pixels(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels (H, W) of a segmentation.

    Raises:
        BadEntry: It is neither of the two, or not of an image of this size.
    """
    if isinstance(segmentation, dict):
        return _run_pixels(segmentation, height, width)
    polygons = as_list(segmentation, _COLUMN)
    if not polygons:
        raise BadEntry(
            _COLUMN,
            None,
            "a mask class, but neither polygon nor mask",
            "outline it with a polygon or a brush: a box is no mask",
        )
    pixels = np.zeros((height, width), np.bool_)
    for polygon in polygons:
        numbers = as_list(polygon, _COLUMN)
        if len(numbers) % 2:
            raise BadEntry(_COLUMN, polygon, "an odd count of coordinates", "draw the region again")
        pairs = [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
        pixels |= polygon_pixels(pairs, _COLUMN, height=height, width=width, scale=(1.0, 1.0))
    return pixels


def _run_pixels(runs: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    size, counts = runs.get("size"), runs.get("counts")
    if size != [height, width]:
        raise BadEntry(
            f"{_COLUMN}.size",
            size,
            f"the mask is not of the image's size, [{height}, {width}]",
            "put the image there that was labelled",
        )
    column = f"{_COLUMN}.counts"
    try:
        told = unpack_counts(counts) if isinstance(counts, str) else as_list(counts, column)
        return decode_counts(told, height=height, width=width)
    except BadRuns as error:
        raise BadEntry(column, None, str(error), "export the labels again") from error
