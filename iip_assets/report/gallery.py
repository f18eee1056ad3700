"""Images of the data as the report shows them: small, over their captions and names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.contact_sheet import image_name
from iip_assets.report.blocks import Image, ImageReader, Images

Size = tuple[int, int]


def thumbnail(
    *images: tuple[str, str | None], size: Size, lead: str = "", caption: str = "", alt: str = ""
) -> Image:
    """One image, or several side by side, each of an id and a path, in a width and a height."""
    source = ", ".join(image_name(*one) for one in images)
    ids = tuple(image_id for image_id, _ in images)

    def draw(reader: ImageReader) -> NDArray[np.uint8]:
        width, height = size
        return np.hstack([reader.thumbnail(one, width=width, height=height) for one in ids])

    return Image(alt or f"Image {source}", draw, ids, lead, caption, source)


def gallery(
    rows: Iterable[Mapping[str, Any]], leads: Iterable[str], captions: Iterable[str]
) -> Images:
    """Thumbnails of the rows' images over their captions."""
    tiles = (
        thumbnail((row["image_id"], row["path"]), size=(200, 150), lead=lead, caption=caption)
        for row, lead, caption in zip(rows, leads, captions, strict=True)
    )
    return Images(list(tiles), "gallery")


def strip(ids: Sequence[str], path_of: Mapping[str, str]) -> Images:
    """Small images in a row, over their names."""
    tiles = [thumbnail((one, path_of.get(one)), size=(96, 72)) for one in ids]
    return Images(tiles, "gallery small")


def with_facts(rows: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The rows with `path` and `batch` of each image."""
    facts = images.select("image_id", "path", "batch")
    return rows.join(facts, on="image_id", how="left", maintain_order="left")


def paths(raw_dataset: Mapping[str, pl.DataFrame]) -> dict[str, str]:
    """By image id its path."""
    return dict(raw_dataset["images"].select("image_id", "path").iter_rows())
