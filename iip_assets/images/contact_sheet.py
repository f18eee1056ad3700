"""Contact sheets: rows of thumbnails, small enough for Dagster's metadata and the report."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import Undecodable, decode_image

# Light grey: what cannot be shown, and the ground behind images of another shape.
EMPTY = 225
GAP_PX = 4
QUALITIES = (82, 70, 55, 40)
MAX_TILE_BYTES = 60_000
# So many of an id's 32 digits tell images apart.
ID_DIGITS = 8


def image_name(image_id: str, path: str | None) -> str:
    """How people find an image that they see: its file below `data/`, and its id's first digits."""
    return f"{path} · {image_id[:ID_DIGITS]}" if path else image_id


def thumbnail(image: NDArray[np.uint8], *, width: int, height: int) -> NDArray[np.uint8]:
    """The whole RGB image (H, W, 3) in `height` × `width` pixels, undistorted, on light grey."""
    scale = min(width / image.shape[1], height / image.shape[0])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    # Averaging does for shrinking, cubic for growing small crops.
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, size, interpolation=how)
    tile = np.full((height, width, 3), EMPTY, dtype=np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def read_thumbnails(
    read: Callable[[str], bytes],
    image_ids: Iterable[str],
    *,
    max_megapixels: float,
    width: int = 96,
    height: int = 72,
) -> list[NDArray[np.uint8]]:
    """A thumbnail of each image; one that cannot be decoded or is too large is a crossed tile.

    `read` gives an image's bytes by its id, such as `ImageStore.read`.
    """
    tiles = []
    for image_id in image_ids:
        try:
            image = decode_image(read(image_id), max_megapixels=max_megapixels)
        except Undecodable:
            tile = crossed_tile(width=width, height=height)
        else:
            tile = thumbnail(image, width=width, height=height)
        tiles.append(tile)
    return tiles


def crossed_tile(*, width: int, height: int) -> NDArray[np.uint8]:
    """What stands for an image that cannot be shown, (H, W, 3)."""
    tile = np.full((height, width, 3), EMPTY, dtype=np.uint8)
    cv2.line(tile, (0, 0), (width, height), (120, 120, 120), 1, cv2.LINE_AA)
    cv2.line(tile, (width, 0), (0, height), (120, 120, 120), 1, cv2.LINE_AA)
    return tile


def sheet(tiles: Sequence[NDArray[np.uint8]], *, columns: int) -> NDArray[np.uint8]:
    """The tiles, all of one shape (H, W, 3), in rows of `columns`, with white gaps.

    Raises:
        ValueError: There are no tiles.
    """
    if not tiles:
        raise ValueError("a contact sheet needs at least one thumbnail, there are none")
    height, width = tiles[0].shape[:2]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    page = np.full(
        (rows * (height + GAP_PX) - GAP_PX, columns * (width + GAP_PX) - GAP_PX, 3),
        255,
        dtype=np.uint8,
    )
    for index, tile in enumerate(tiles):
        top = index // columns * (height + GAP_PX)
        left = index % columns * (width + GAP_PX)
        page[top : top + height, left : left + width] = tile
    return page


@dataclass(frozen=True)
class CaptionedImages:
    """Images under which stands which they are; a notebook shows them side by side.

    Attributes:
        tiles: RGB images (H, W, 3) of any size.
        captions: The lines below each.
    """

    tiles: Sequence[NDArray[np.uint8]]
    captions: Sequence[Sequence[str]]

    def __len__(self) -> int:
        return len(self.tiles)

    def __repr__(self) -> str:
        return f"CaptionedImages({len(self)})"

    def _repr_html_(self) -> str:
        figures = []
        for tile, lines in zip(self.tiles, self.captions, strict=True):
            words = "<br>".join(html.escape(line) for line in lines if line)
            figures.append(
                f'<figure style="margin: 0; width: {tile.shape[1]}px">'
                f'<img src="{jpeg_data_uri(tile, max_bytes=MAX_TILE_BYTES)}" '
                f'alt="{html.escape(" ".join(lines))}">'
                '<figcaption style="font: 11px/1.4 sans-serif; overflow-wrap: anywhere">'
                f"{words}</figcaption></figure>"
            )
        return f'<div style="display: flex; flex-wrap: wrap; gap: 10px">{"".join(figures)}</div>'


def jpeg_data_uri(image: NDArray[np.uint8], *, max_bytes: int) -> str:
    """The RGB image (H, W, 3) as a JPEG data URI: coarser, then smaller, until it fits `max_bytes`.

    Raises:
        ValueError: `max_bytes` is below 2,000, too small for any image.
    """
    if max_bytes < 2000:
        raise ValueError(f"a data URI of {max_bytes} bytes shows no image; give it at least 2,000")
    page = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    while True:
        for quality in QUALITIES:
            _, encoded = cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, quality])
            uri = "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
            if len(uri) <= max_bytes:
                return uri
        size = (max(1, page.shape[1] * 3 // 4), max(1, page.shape[0] * 3 // 4))
        page = cv2.resize(page, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
