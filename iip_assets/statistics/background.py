"""What each eye stands before, in a word."""

from __future__ import annotations

import polars as pl

BACKGROUNDS = ("plain", "textured", "cluttered")


def background_table(
    statistics: pl.DataFrame, *, plain_below: float, cluttered_above: float
) -> pl.DataFrame:
    """The background of every image by its share of edges: plain, textured or cluttered.

    Null where the image could not be measured, or where the eye fills the frame.

    Args:
        statistics: `image_id` and `background_edges` (0 to 1).
        plain_below: Below this share it is plain.
        cluttered_above: Above this share it is cluttered.

    Returns:
        `image_id` and `background`, sorted by `image_id`.
    """
    edges = pl.col("background_edges")
    word = (
        pl.when(edges.is_null())
        .then(None)
        .when(edges < plain_below)
        .then(pl.lit("plain"))
        .when(edges > cluttered_above)
        .then(pl.lit("cluttered"))
        .otherwise(pl.lit("textured"))
    )
    return statistics.select("image_id", word.cast(pl.String).alias("background")).sort("image_id")
