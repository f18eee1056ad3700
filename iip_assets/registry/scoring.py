"""What a version says of images; none is shown to it twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from iip_assets.inference.filter import FilterFromPixels, network_scores, score_chunk
from iip_assets.inference.segmenter import Segmenter, segment_chunk
from iip_assets.registry.contenders import Contender

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled
    from iip_assets.images.store import ImageStore


@dataclass(frozen=True)
class Asking:
    """How images are shown to versions.

    Attributes:
        store: Where images and masks are, fetched.
        max_megapixels: The largest that is decoded.
        fill: `AssetContext.fill`.
        threads: On the processor.
        chunk: Images that a killed run may lose.
    """

    store: ImageStore
    max_megapixels: float
    fill: Callable[..., Filled]
    threads: int
    chunk: int


def filter_scores(one: Contender, images: pl.DataFrame, asking: Asking) -> pl.DataFrame:
    """`image_id` and `prob_<class>` that a version of the filter gives, from the pixels.

    Args:
        one: The version.
        images: `image_id`.
        asking: How.
    """
    filled = asking.fill(
        "filter_scores",
        images.select("image_id"),
        score_chunk,
        given={"model": one.digest, "max_megapixels": asking.max_megapixels},
        tools={
            "filter_model": FilterFromPixels(one.files(), threads=asking.threads),
            "store": asking.store,
        },
        chunk=asking.chunk,
    )
    return network_scores(filled.frame)


def segmentations(one: Contender, images: pl.DataFrame, asking: Asking) -> pl.DataFrame:
    """`image_id`, `mask_id` and what `segment_chunk` gives, of a version of the segmenter.

    Args:
        one: The version.
        images: `image_id`, `mask_id`.
        asking: How.
    """
    filled = asking.fill(
        "segmentations",
        images.select("image_id", "mask_id"),
        segment_chunk,
        given={"model": one.digest, "max_megapixels": asking.max_megapixels},
        tools={
            "segmenter": Segmenter(one.files(), threads=asking.threads),
            "store": asking.store,
            "threads": asking.threads,
        },
        chunk=asking.chunk,
    )
    return filled.frame
