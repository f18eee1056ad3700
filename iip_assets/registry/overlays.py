"""Contact sheets of predicted masks over their images, to look whether they are right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.contact_sheet import thumbnail
from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.registry.batch_predict import Found

# Background is left as it is; the others differ in light as well as in hue (Okabe and Ito 2008).
COLOURS = ((0, 0, 0), (86, 180, 233), (230, 159, 0), (0, 0, 0), (0, 158, 115), (204, 121, 167))
_OPAQUE = 0.45
_WIDTH, _HEIGHT, _COLUMNS = 200, 150, 6
_TEXT_PX = 18
_BAD = (213, 94, 0)


def overlay(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image (H, W, 3) with its classes (H, W) in colour and their borders in white."""
    palette = np.array([COLOURS[index % len(COLOURS)] for index in range(256)], np.float32)
    inside = (mask > 0)[:, :, None]
    mixed = np.where(inside, image * (1 - _OPAQUE) + palette[mask] * _OPAQUE, image)
    edges = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8)) > 0
    mixed[edges] = 255
    return np.asarray(mixed, np.uint8)


def contact_sheet(
    table: pl.DataFrame, found: Sequence[Found], out: Path, *, most: int, max_megapixels: float
) -> NDArray[np.uint8]:
    """Tiles of images with masks, verdict and score, evenly chosen where there are many.

    Args:
        table: From `batch_predict.predict_all`.
        found: Its images.
        out: The folder that the masks are in.
        most: Tiles.
        max_megapixels: The largest image that is decoded.
    """
    rows = table.to_dicts()
    if len(rows) > most:
        rows = [rows[round(place)] for place in np.linspace(0, len(rows) - 1, most)]
    path_of = {one.name: one.path for one in found}
    tiles = []
    for row in rows:
        tile = np.full((_HEIGHT + _TEXT_PX, _WIDTH, 3), 255, np.uint8)
        tile[:_HEIGHT] = _seen(path_of[row["path"]], row, out, max_megapixels)
        score = "" if row["usable_score"] is None else f" {row['usable_score']:.2f}"
        colour = (0, 0, 0) if row["verdict"] == "pass" else _BAD
        words = f"{row['verdict']}{score} {Path(row['path']).name}"
        cv2.putText(
            tile,
            words[:30],
            (3, _HEIGHT + 13),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.36,
            colour,
            1,
            cv2.LINE_AA,
        )
        tiles.append(tile)
    while len(tiles) % _COLUMNS:
        tiles.append(np.full_like(tiles[0], 255))
    lines = [np.hstack(tiles[first : first + _COLUMNS]) for first in range(0, len(tiles), _COLUMNS)]
    return np.vstack(lines)


def _seen(
    path: Path, row: dict[str, object], out: Path, max_megapixels: float
) -> NDArray[np.uint8]:
    try:
        image = decode_image(path.read_bytes(), max_megapixels=max_megapixels)
    except (OSError, Undecodable):
        return np.full((_HEIGHT, _WIDTH, 3), 225, np.uint8)
    if row["mask"] is not None:
        mask = cv2.imread(str(out / str(row["mask"])), cv2.IMREAD_GRAYSCALE)
        if mask is not None and mask.shape == image.shape[:2]:
            image = overlay(image, np.asarray(mask, np.uint8))
    return thumbnail(image, width=_WIDTH, height=_HEIGHT)
