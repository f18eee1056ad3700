"""The filter from images to probabilities, on ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.images.decode import decode_image
from iip_assets.images.letterbox import letterbox_image
from iip_assets.images.reading import Reader
from iip_assets.inference.preprocess import Frame

_BATCH = 16


class FilterFromPixels:
    """A filter, opened."""

    def __init__(self, files: Mapping[str, bytes], *, threads: int) -> None:
        """Opens the files of a filter: `filter.onnx` and `card.json`."""
        self.frame = Frame.of_card(json.loads(files["card.json"]))
        self._session = open_session(files["filter.onnx"], threads=threads)

    def probabilities(self, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(B, K) for images (H, W, 3)."""
        width, height = self.frame.width, self.frame.height
        fitted = np.stack([letterbox_image(image, width, height) for image in images])
        return run(self._session, self.frame.standardise(fitted))


def score_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    filter_model: FilterFromPixels,
    store: Reader,
) -> list[dict[str, Any]]:
    """`probabilities` (K,) of each image.

    Args:
        records: Each with an `image_id`.
        max_megapixels: The largest image that is decoded.
        filter_model: The filter, opened.
        store: Where the images are.
    """
    found: list[dict[str, Any]] = []
    for first in range(0, len(records), _BATCH):
        images = [
            decode_image(store.read(one["image_id"]), max_megapixels=max_megapixels)
            for one in records[first : first + _BATCH]
        ]
        found += [{"probabilities": row} for row in filter_model.probabilities(images)]
    return found
