"""Images of the dataset by their ids, decoded when asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.decode import decode_image
from iip_assets.images.store import ImageStore


def image_reader(
    root: Path, image_ids: pl.Series, max_megapixels: float
) -> Callable[[str], NDArray[np.uint8]]:
    """Reads an image (H, W, 3) by its id; at the first call all of them are fetched.

    Args:
        root: The workspace's folder.
        image_ids: The images that may be asked for.
        max_megapixels: The largest image that is decoded.
    """
    stores: list[ImageStore] = []

    def read(image_id: str) -> NDArray[np.uint8]:
        if not stores:
            store = ImageStore.open(root)
            store.fetch(image_ids.to_list())
            stores.append(store)
        return decode_image(stores[0].read(image_id), max_megapixels=max_megapixels)

    return read
