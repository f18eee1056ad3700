"""What of a class's true pixels a segmenter finds at each threshold, image by image.

As in MAPIE's SemanticSegmentationController a pixel is of the class from a probability on, with two
changes. What is likeliest of the class is of it at any threshold, so that a promise only adds
pixels; and an image counts by its share of pixels, not by their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from iip_assets.engine.values import Files
from iip_assets.errors import no_such
from iip_assets.images.store import Reader, Store
from iip_assets.inference.segmenter import Segmenter, read_pair
from iip_assets.metrics.guarantee import THRESHOLDS, Floats

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled


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
    """The rows of `masked` whose mask has the class, and (N, T) what share of it each loses.

    The other arguments are those of `segment_images`.

    Raises:
        ValueError: The model knows no such class.
    """
    segmenter = Segmenter(model.parts, threads=threads)
    if name not in segmenter.classes:
        raise ValueError(f"guarantee.pixel_class: {no_such('class', name, segmenter.classes)}")
    if masked.is_empty():
        return masked, np.zeros((0, len(THRESHOLDS)))
    store.fetch([*masked["image_id"], *masked["mask_id"]])
    found = fill(
        "pixel_scores",
        masked.select("image_id", "mask_id"),
        pixel_chunk,
        given={"max_megapixels": max_megapixels, "name": name},
        key={"model": model.digest},
        tools={"segmenter": segmenter, "store": store},
        chunk=chunk,
    ).frame
    rows = masked.join(found.select("image_id", "found"), on="image_id").filter(
        pl.col("found").list.sum() > 0
    )
    counts = np.array(rows["found"].to_list(), dtype=np.float64).reshape(-1, len(THRESHOLDS) + 1)
    return rows.drop("found"), counts.cumsum(1)[:, :-1] / counts.sum(1, keepdims=True)


def pixel_chunk(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    name: str,
    segmenter: Segmenter,
    store: Reader,
) -> list[dict[str, Any]]:
    """`found` of each image: how many of the class's true pixels reach how many `THRESHOLDS`."""
    place, classes, results = segmenter.classes.index(name), len(segmenter.classes), []
    for record in records:
        image, mask = read_pair(store, record, classes=classes, max_megapixels=max_megapixels)
        _, scores = segmenter.scored(image, name)
        reached = np.searchsorted(THRESHOLDS, scores[mask == place], side="right")
        counts = np.bincount(reached, minlength=len(THRESHOLDS) + 1)
        results.append({"found": counts.tolist()})
    return results
