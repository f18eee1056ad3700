"""The hardest images of each model with what counted, for Dagster's page of the asset."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import polars as pl

from iip_assets.audit.explained_words import SCORES, explained_caption
from iip_assets.audit.explanation_figures import LEGEND, explained_figure, explained_tile
from iip_assets.engine.figures import figure_png
from iip_assets.engine.values import Markdown
from iip_assets.images.contact_sheet import jpeg_data_uri
from iip_assets.images.decode import decode_image

# Dagster keeps metadata in its event log, and each look at the asset reads it.
_MAX_BYTES = 240_000


def hardest_of(explained: pl.DataFrame, model: str) -> pl.DataFrame:
    """The rows of the model's hardest images, the hardest first."""
    chosen = (pl.col("model") == model) & pl.col("rank").is_not_null()
    return explained.filter(chosen).sort("rank")


def explained_sheets(
    explained: pl.DataFrame, *, read: Callable[[str], bytes], max_megapixels: float
) -> dict[str, Markdown]:
    """By name a sheet for each model that has explained images.

    Args:
        explained: The table of explained images.
        read: Gives an image's bytes by its id.
        max_megapixels: The largest image that is decoded.
    """
    sheets = {}
    for model, score in SCORES.items():
        rows = hardest_of(explained, model).to_dicts()
        if not rows:
            continue
        tiles = [
            explained_tile(decode_image(read(row["image_id"]), max_megapixels=max_megapixels), row)
            for row in rows
        ]
        figure = explained_figure(tiles, [explained_caption(row) for row in rows], score)
        pixels = cv2.imdecode(np.frombuffer(figure_png(figure), np.uint8), cv2.IMREAD_COLOR_RGB)
        uri = jpeg_data_uri(np.asarray(pixels, np.uint8), max_bytes=_MAX_BYTES)
        alt = f"the {model}'s {len(rows)} hardest images, and which parts counted"
        sheets[f"{model}_plot"] = Markdown(f"![{alt}]({uri})\n\n{LEGEND}")
    return sheets
