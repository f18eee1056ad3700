"""What of a class's true pixels a segmenter finds at each threshold, image by image.

The form is that of MAPIE's SemanticSegmentationController (a pixel is of the class from a
probability on), with two changes. What is likeliest of the class is of it at any threshold, so that
a promise only adds pixels; and an image counts by its share of pixels, not by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.engine.values import Files
from iip_assets.images.store import Reader, Store
from iip_assets.inference.segmenter import Segmenter, read_pair
from iip_assets.metrics.guarantee import THRESHOLDS, Floats

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

_BATCH = 8


def pixel_losses(
    model: Files,
    masked: pl.DataFrame,
    store: Store,
    name: str,
    *,
    fill: Callable[..., Filled],
    max_megapixels: float,
    threads: int,
    chunk: int,
) -> tuple[pl.DataFrame, Floats]:
    """The images whose mask has the class, and (N, T) what share of its pixels is lost of each.

    Args:
        model: The segmenter.
        masked: `image_id`, `mask_id` and what else is to be kept of the images.
        store: Where they lie.
        name: The class.
        fill: Keeps what was computed (`AssetContext.fill`).
        max_megapixels: The largest image that is decoded.
        threads: On the processor.
        chunk: Images that a killed run may have to look at again.
    """
    store.fetch([*masked["image_id"], *masked["mask_id"]])
    filled = fill(
        "pixel_scores",
        masked.select("image_id", "mask_id"),
        pixel_chunk,
        given={"max_megapixels": max_megapixels, "name": name},
        key={"model": model.digest},
        tools={
            "segmenter": Segmenter(model.parts, threads=threads),
            "store": store,
            "threads": threads,
        },
        chunk=chunk,
    ).frame
    rows = masked.join(filled.select("image_id", "found"), on="image_id").sort("image_id")
    counts = np.array(rows["found"].to_list(), dtype=np.float64).reshape(-1, len(THRESHOLDS) + 1)
    has_class = counts.sum(1) > 0
    counts = counts[has_class]
    losses = counts.cumsum(1)[:, :-1] / counts.sum(1, keepdims=True)
    return rows.drop("found").filter(pl.Series(has_class)), losses


def pixel_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    name: str,
    segmenter: Segmenter,
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """`found` of each image: how many of the class's true pixels reach how many `THRESHOLDS`."""
    place = segmenter.classes.index(name)

    def pair_of(record: dict[str, Any]) -> Any:
        classes = len(segmenter.classes)
        return read_pair(store, record, classes=classes, max_megapixels=max_megapixels)

    results = []
    with ThreadPoolExecutor(threads) as pool:
        waiting = pool.map(pair_of, records)
        while pairs := list(islice(waiting, _BATCH)):
            scored = segmenter.scored([image for image, _ in pairs], name)
            for (_, mask), scores in zip(pairs, scored, strict=True):
                reached = np.searchsorted(THRESHOLDS, scores[mask == place], side="right")
                counts = np.bincount(reached, minlength=len(THRESHOLDS) + 1)
                results.append({"found": counts.tolist()})
    return results
