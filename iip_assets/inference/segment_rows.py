"""The segmenter's pixel counts of masked images, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import Files
from iip_assets.images.decode import decode_image, decode_mask
from iip_assets.images.reading import Reader, Store
from iip_assets.inference.preprocess import mask_confusion
from iip_assets.inference.segmentation import Segmenter
from iip_assets.metrics.boundary import boundary_counts

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

# Images the network sees at a time.
_BATCH = 8


def segment_images(
    model: Files,
    masked: pl.DataFrame,
    store: Store,
    *,
    fill: Callable[..., Filled],
    max_megapixels: float,
    threads: int,
    chunk: int,
) -> pl.DataFrame:
    """`image_id`, `mask_id` and what `segment_chunk` gives of each.

    Args:
        model: The segmenter.
        masked: `image_id` and `mask_id` of images with a valid mask.
        store: Where they are.
        fill: `AssetContext.fill`.
        max_megapixels: The largest image that is decoded.
        threads: On the processor.
        chunk: Images that a killed run may lose.
    """
    store.fetch([*masked["image_id"], *masked["mask_id"]])
    segmenter = Segmenter(model.parts, threads=threads)
    return fill(
        "segmentations",
        masked.select("image_id", "mask_id"),
        segment_chunk,
        given={"max_megapixels": max_megapixels},
        key={"model": model.digest},
        tools={"segmenter": segmenter, "store": store, "threads": threads},
        chunk=chunk,
    ).frame


def segment_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    segmenter: Segmenter,
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """`confusion`, `baseline` (K, K) and `boundary` (K, 4) of each image, as lists row by row.

    The first two are pixel counts, the last is that of `boundary_counts`.

    Args:
        records: Each with an `image_id` and a `mask_id`, both of which can be decoded.
        max_megapixels: The largest image that is decoded.
        segmenter: The segmenter, opened.
        store: Where the images are.
        threads: Images decoded at a time.
    """
    classes = len(segmenter.classes)

    def pair_of(record: dict[str, Any]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return read_pair(store, record, classes=classes, max_megapixels=max_megapixels)

    results: list[dict[str, Any]] = []
    with ThreadPoolExecutor(threads) as pool:
        for pairs in _batches(pool.map(pair_of, records)):
            found = segmenter.segment([image for image, _ in pairs])
            for (_, mask), predicted in zip(pairs, found, strict=True):
                blind = segmenter.prior(*mask.shape)
                results.append(
                    {
                        "confusion": mask_confusion(mask, predicted, classes).ravel().tolist(),
                        "baseline": mask_confusion(mask, blind, classes).ravel().tolist(),
                        "boundary": boundary_counts(mask, predicted, classes).ravel().tolist(),
                    }
                )
    return results


def read_pair(
    store: Reader, record: dict[str, Any], *, classes: int, max_megapixels: float
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Image (H, W, 3) and mask (H, W) of a record with `image_id` and `mask_id`.

    Raises:
        Undecodable: One of them cannot be decoded.
    """
    image = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
    height, width = image.shape[:2]
    mask = decode_mask(store.read(record["mask_id"]), height=height, width=width, n_classes=classes)
    return image, mask


def _batches(
    pairs: Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
) -> Iterator[list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]]:
    batch = []
    for pair in pairs:
        batch.append(pair)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
