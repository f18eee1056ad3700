"""From a model and what it predicted to a table of explained images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.audit.explained_images import CHOSEN, filter_images, segmenter_images
from iip_assets.audit.explained_rows import explain_filter_chunk, explain_segmenter_chunk
from iip_assets.engine.values import Files
from iip_assets.images.store import ImageStore
from iip_assets.inference.filter import FilterFromPixels
from iip_assets.inference.segmenter import Segmenter
from iip_assets.models.tasks import FILTER, SEGMENTER
from iip_assets.settings import ExplanationSettings

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

EXPLAINED = {
    "model": pl.String(),
    **CHOSEN,
    "score": pl.Float64(),
    "share_on_eye": pl.Float64(),
    "chance_share": pl.Float64(),
    "deletion_area": pl.Float64(),
    "chance_area": pl.Float64(),
    "rows": pl.Int64(),
    "columns": pl.Int64(),
    "attribution": pl.List(pl.Float32),
    "said_outline": pl.String(),
    "true_outline": pl.String(),
}
"""The table of explained images: who was asked, what was chosen, what was found."""


@dataclass(frozen=True)
class Explainer:
    """What both models are explained with.

    Attributes:
        options: How many images, and how finely.
        store: Where the images are.
        fill: `AssetContext.fill`.
        max_megapixels: The largest image that is decoded.
        threads: On the processor.
        chunk: Images that a killed run may lose.
    """

    options: ExplanationSettings
    store: ImageStore
    fill: Callable[..., Filled]
    max_megapixels: float
    threads: int
    chunk: int

    def of_filter(
        self, model: Files, predictions: pl.DataFrame, about: pl.DataFrame, classes: tuple[str, ...]
    ) -> pl.DataFrame:
        """The filter's words, explained.

        Args:
            model: The filter.
            predictions: What it said of the held-out images.
            about: `image_id`, `mask_id`, `group_id` of them.
            classes: Names of the mask's classes.
        """
        chosen = filter_images(predictions, about, **self._choice())
        return self._explained(
            FILTER.name,
            chosen,
            explain_filter_chunk,
            digest=model.digest,
            given={"classes": list(classes)},
            tools={"filter_model": FilterFromPixels(model.parts, threads=self.threads)},
        )

    def of_segmenter(
        self, model: Files, predictions: pl.DataFrame, about: pl.DataFrame
    ) -> pl.DataFrame:
        """The segmenter's classes, explained; for the arguments see `of_filter`."""
        chosen = segmenter_images(predictions, about, **self._choice())
        return self._explained(
            SEGMENTER.name,
            chosen,
            explain_segmenter_chunk,
            digest=model.digest,
            given={},
            tools={"segmenter": Segmenter(model.parts, threads=self.threads)},
        )

    def _choice(self) -> dict[str, int]:
        options = self.options
        return {"hardest": options.images, "sample": options.sample, "seed": options.seed}

    def _explained(
        self,
        model: str,
        chosen: pl.DataFrame,
        compute: Callable[..., list[dict[str, Any]]],
        *,
        digest: str,
        given: dict[str, Any],
        tools: dict[str, Any],
    ) -> pl.DataFrame:
        if chosen.is_empty():
            return pl.DataFrame(schema=EXPLAINED)
        rows = chosen.select("image_id", "mask_id", "said")
        self.store.fetch([*rows["image_id"], *rows["mask_id"].drop_nulls()])
        filled = self.fill(
            f"{model}_explanations",
            rows,
            compute,
            given={
                "cells": self.options.cells,
                "seed": self.options.seed,
                "max_megapixels": self.max_megapixels,
                **given,
            },
            key={"model": digest},
            tools={"store": self.store, **tools},
            chunk=self.chunk,
        )
        return (
            chosen.join(filled.frame.drop("mask_id", "said"), on="image_id")
            .with_columns(model=pl.lit(model))
            .filter(pl.col("attribution").is_not_null())
            .select(pl.col(name).cast(dtype) for name, dtype in EXPLAINED.items())
            .sort("image_id")
        )
