"""Counts of masks alone, without a model, for a chunk of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED, decode_mask
from iip_assets.images.header import read_header
from iip_assets.images.reading import Store
from iip_assets.inference.preprocess import mask_confusion
from iip_assets.metrics.boundary import boundary_counts

Mask = NDArray[np.uint8]


def compare_masks(
    records: Sequence[dict[str, Any]], *, n_classes: int, store: Store, threads: int = 2
) -> list[dict[str, Any]]:
    """`confusion` (K, K) and `boundary` (K, 4) of two masks of one image, as lists row by row.

    The first mask is taken for the truth; only pixels that both of them label count.

    Args:
        records: Each with a `mask_id` and an `other_mask_id`, valid masks of one size.
        n_classes: K.
        store: Where the masks are.
        threads: Pairs read at a time.
    """
    store.fetch([record[name] for record in records for name in ("mask_id", "other_mask_id")])

    def one(record: dict[str, Any]) -> dict[str, Any]:
        first, second = (
            _read(store, record[name], n_classes) for name in ("mask_id", "other_mask_id")
        )
        either = (first == NOT_LABELLED) | (second == NOT_LABELLED)
        first[either] = second[either] = NOT_LABELLED
        return {
            "confusion": mask_confusion(first, second, n_classes).ravel().tolist(),
            "boundary": boundary_counts(first, second, n_classes).ravel().tolist(),
        }

    return _in_threads(one, records, threads)


def count_pixels(
    records: Sequence[dict[str, Any]], *, n_classes: int, store: Store, threads: int = 2
) -> list[dict[str, Any]]:
    """`pixels` (K,) of each class in each mask, as a list.

    Args:
        records: Each with the `mask_id` of a valid mask.
        n_classes: K.
        store: Where the masks are.
        threads: Masks read at a time.
    """
    store.fetch([record["mask_id"] for record in records])

    def one(record: dict[str, Any]) -> dict[str, Any]:
        mask = _read(store, record["mask_id"], n_classes)
        return {"pixels": np.bincount(mask.ravel(), minlength=n_classes)[:n_classes].tolist()}

    return _in_threads(one, records, threads)


def _read(store: Store, mask_id: str, n_classes: int) -> Mask:
    """A copy of the mask, to write on."""
    data = store.read(mask_id)
    header = read_header(data)
    return decode_mask(data, height=header.height, width=header.width, n_classes=n_classes).copy()


def _in_threads(
    one: Callable[[dict[str, Any]], dict[str, Any]],
    records: Sequence[dict[str, Any]],
    threads: int,
) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(one, records))
