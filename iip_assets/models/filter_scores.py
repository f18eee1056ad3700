"""The filter's probabilities of every picture: of a head at once, of a network one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from iip_assets.dataset.store import ImageStore
from iip_assets.engine.values import Files
from iip_assets.models.filter_pixels import FilterFromPixels, score_chunk
from iip_assets.models.predict import has_head, head_scores, network_scores
from iip_assets.models.summaries import model_digest

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled


def score_pictures(
    model: Files,
    embeddings: pl.DataFrame,
    *,
    root: Path,
    fill: Callable[..., Filled],
    max_megapixels: float,
    threads: int,
    chunk: int,
) -> pl.DataFrame:
    """`image_id` and `prob_<class>` of every embedded picture.

    Args:
        model: The filter.
        embeddings: `image_id` and `embedding`.
        root: The workspace's folder, from which a network reads pictures.
        fill: `Work.fill`.
        max_megapixels: The largest picture that is decoded.
        threads: On the processor.
        chunk: Pictures that a killed run may lose.
    """
    if has_head(model.parts):
        return head_scores(embeddings, model.parts)
    pictures = embeddings.select("image_id")
    store = ImageStore.open(root)
    store.fetch(pictures["image_id"].to_list())
    filled = fill(
        "filter_scores",
        pictures,
        score_chunk,
        given={"model": model_digest(model), "max_megapixels": max_megapixels},
        tools={"filter_model": FilterFromPixels(model.parts, threads=threads), "store": store},
        chunk=chunk,
    )
    return network_scores(filled.frame)
