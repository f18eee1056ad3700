"""The embeddings of a chunk of pictures: decoding in threads beside the network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.decode import Undecodable, decode_image
from iip_assets.embeddings.embedder import Embedder, prepare


class Reader(Protocol):
    """Gives the bytes behind an image id, as the dataset's store does."""

    def read(self, md5: str) -> bytes:
        """The file's bytes."""
        ...


def embed_chunk(
    records: Sequence[dict[str, Any]],
    *,
    backbone: str,
    backend: str,
    max_megapixels: float,
    embedder: Embedder,
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """One record `{"embedding": (D,) float32 | None}` per picture; None where it cannot be decoded.

    Args:
        records: Each with an `image_id`.
        backbone: The backbone's data version; with `backend` it says which numbers these are.
        backend: What runs the backbone.
        max_megapixels: Larger pictures are not decoded.
        embedder: The backbone, opened.
        store: Where the pictures are.
        threads: Pictures decoded at a time.
    """
    del backbone, backend  # they only enter the row's key

    def picture_of(record: dict[str, Any]) -> NDArray[np.uint8] | None:
        try:
            image = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
        except Undecodable:
            return None
        return prepare(image, embedder)

    results: list[dict[str, Any]] = [{"embedding": None} for _ in records]
    with ThreadPoolExecutor(threads) as pool:
        pictures = pool.map(picture_of, records)
        for places, batch in _batches(pictures, embedder.batch_size):
            for place, vector in zip(places, embedder.embed(batch), strict=True):
                results[place]["embedding"] = vector
    return results


def _batches(
    pictures: Iterator[NDArray[np.uint8] | None], size: int
) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
    """Places and stacked pictures, `size` at a time, of the pictures that could be decoded."""
    places: list[int] = []
    batch: list[NDArray[np.uint8]] = []
    for place, picture in enumerate(pictures):
        if picture is None:
            continue
        places.append(place)
        batch.append(picture)
        if len(batch) == size:
            yield places, np.stack(batch)
            places, batch = [], []
    if batch:
        yield places, np.stack(batch)
