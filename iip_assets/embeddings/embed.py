"""The embeddings of a chunk of images: each thread takes a batch from its bytes to its numbers.

So no thread waits for another: where one decoded for a network that used all cores, these stood
idle whenever either was ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.embeddings.embedder import Embedder, prepare
from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.reading import Reader


def embed_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    embedder: Embedder,
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """One record `{"embedding": (D,) float32 | None}` per image; None where it cannot be decoded.

    Args:
        records: Each with an `image_id`.
        max_megapixels: Larger images are not decoded.
        embedder: The backbone, opened.
        store: Where the images are.
        threads: Batches worked on at a time.
    """

    def embed_part(part: Sequence[dict[str, Any]]) -> list[NDArray[np.float32] | None]:
        images = [_image(record["image_id"], max_megapixels, embedder, store) for record in part]
        there = [image for image in images if image is not None]
        vectors = iter(embedder.embed(np.stack(there)) if there else ())
        return [None if image is None else next(vectors) for image in images]

    size = embedder.batch_size
    parts = [records[start : start + size] for start in range(0, len(records), size)]
    with ThreadPoolExecutor(threads) as pool:
        return [{"embedding": one} for part in pool.map(embed_part, parts) for one in part]


def _image(
    image_id: str, max_megapixels: float, embedder: Embedder, store: Reader
) -> NDArray[np.uint8] | None:
    try:
        image = decode_image(store.read(image_id), max_megapixels=max_megapixels)
    except Undecodable:
        return None
    return prepare(image, embedder)
