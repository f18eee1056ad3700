"""Likely errors of labels and masks for people: the image, what is given, and where to look."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import Markdown
from iip_assets.images.contact_sheet import jpeg_data_uri, sheet, thumbnail
from iip_assets.images.decode import Undecodable, decode_image, decode_mask
from iip_assets.images.store import Store

Image = NDArray[np.uint8]

# Okabe and Ito (2008): told apart by people of any colour vision, and by their lightness.
_CLASS_COLOURS = ((86, 180, 233), (230, 159, 0), (204, 121, 167), (0, 158, 115), (240, 228, 66))
_REGION = (255, 255, 255)
_TILE = (200, 150)
_SHOWN, _COLUMNS = 20, 5
# Dagster keeps metadata in its event log, and each look at the asset reads it.
_MAX_BYTES = 240_000


def counted_kinds(errors: pl.DataFrame) -> list[dict[str, Any]]:
    """Of each kind of error how many were looked at, and how many are flagged."""
    found = errors.group_by("what", "kind", "suggested").agg(
        flagged=pl.col("flagged").sum(), images=pl.len()
    )
    flagged = found.filter(pl.col("flagged") > 0)
    return flagged.sort("flagged", "kind", "suggested", descending=[True, False, False]).to_dicts()


def caption(row: Mapping[str, Any]) -> str:
    """What is given and suggested, and how sure that is."""
    return f"{row['given']} → {row['suggested']} ({row['confidence']:.0%}): {row['reason']}"


def error_tile(image: Image, mask: Image | None, region: Sequence[float] | None) -> Image:
    """The image (H, W, 3), small, with the borders of its mask's classes and a box to look at."""
    width, height = _TILE
    scale = min(width / image.shape[1], height / image.shape[0])
    small = thumbnail(image, width=width, height=height)
    left, top = (
        (side - round(scale * size)) // 2
        for side, size in zip((width, height), image.shape[1::-1], strict=True)
    )
    if mask is not None:
        for index in np.unique(mask[(mask > 0) & (mask < 255)]):
            region_of = (mask == index).astype(np.uint8)
            outlines, _ = cv2.findContours(region_of, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            moved = [np.round(points * scale + (left, top)).astype(np.int32) for points in outlines]
            colour = _CLASS_COLOURS[(int(index) - 1) % len(_CLASS_COLOURS)]
            cv2.polylines(small, moved, True, colour, 1, cv2.LINE_AA)
    if region is not None and region[2] > 0:
        corner = (round(region[0] * scale) + left, round(region[1] * scale) + top)
        end = (corner[0] + round(region[2] * scale), corner[1] + round(region[3] * scale))
        cv2.rectangle(small, corner, end, (0, 0, 0), 3)
        cv2.rectangle(small, corner, end, _REGION, 1)
    return small


def read_tile(
    row: Mapping[str, Any],
    mask_id: str | None,
    read: Callable[[str], bytes],
    *,
    max_megapixels: float,
) -> Image:
    """The tile of an error; without the mask, or as an empty one, where that cannot be decoded."""
    try:
        image = decode_image(read(row["image_id"]), max_megapixels=max_megapixels)
    except Undecodable:
        return np.full((_TILE[1], _TILE[0], 3), 225, np.uint8)
    mask = None
    if row["what"] == "mask" and mask_id is not None:
        height, width = image.shape[:2]
        mask = decode_mask(read(mask_id), height=height, width=width, n_classes=255)
    return error_tile(image, mask, row["region"])


def errors_sheet(
    flagged: pl.DataFrame,
    mask_ids: Mapping[str, str | None],
    store: Store,
    *,
    max_megapixels: float,
) -> dict[str, Markdown]:
    """The first flagged ones as a plot for Dagster; none where nothing is flagged."""
    rows = flagged.head(_SHOWN).to_dicts()
    if not rows:
        return {}
    masks = [mask_ids.get(row["image_id"]) for row in rows]
    store.fetch([*(row["image_id"] for row in rows), *(one for one in masks if one)])
    tiles = [
        read_tile(row, mask, store.read, max_megapixels=max_megapixels)
        for row, mask in zip(rows, masks, strict=True)
    ]
    uri = jpeg_data_uri(sheet(tiles, columns=_COLUMNS), max_bytes=_MAX_BYTES)
    lines = "\n".join(f"{place}. {caption(row)}" for place, row in enumerate(rows, 1))
    return {"plot": Markdown(f"![the likeliest errors]({uri})\n\n{lines}")}
