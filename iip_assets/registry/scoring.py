"""What a version says of images; none is shown to it twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from iip_assets.inference.filter import FilterFromPixels, network_scores, score_chunk
from iip_assets.inference.segmenter import Segmenter, segment_chunk
from iip_assets.metrics.scored_predictions import ScoredPredictions, scored_filter, scored_segmenter
from iip_assets.models.tasks import FILTER, TASKS
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


def scored_by(
    one: Contender, images: pl.DataFrame, asking: Asking, *, classes: Sequence[str]
) -> ScoredPredictions:
    """A version's answers on images of known truth, from the pixels.

    Args:
        one: The version.
        images: `image_id`, `group_id`, and `label` or `mask_id`.
        asking: How.
        classes: Names of the masks' classes.
    """
    asking.store.fetch([one for name in TASKS[one.model].reads for one in images[name]])
    if one.model == FILTER.name:
        return scored_filter(with_scores(images, filter_scores(one, images, asking)))
    said = segmentations(one, images, asking).select("image_id", "confusion")
    return scored_segmenter(images.join(said, on="image_id", maintain_order="left"), classes)


def with_scores(images: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """The images with the filter's `prob_<class>` beside them."""
    return images.join(scores, on="image_id", maintain_order="left")


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
        given={"max_megapixels": asking.max_megapixels},
        key={"model": one.digest},
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
        given={"max_megapixels": asking.max_megapixels},
        key={"model": one.digest},
        tools={
            "segmenter": Segmenter(one.files(), threads=asking.threads),
            "store": asking.store,
            "threads": asking.threads,
        },
        chunk=asking.chunk,
    )
    return filled.frame
