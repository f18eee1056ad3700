"""How each image is lit, in a word."""

from __future__ import annotations

import polars as pl

LIGHTING = ("dark", "normal", "bright", "uneven")


def lighting_table(
    statistics: pl.DataFrame, *, dark_below: float, bright_above: float, uneven_above: float
) -> pl.DataFrame:
    """The lighting of every image: dark, bright, else uneven, else normal; null where not measured.

    Darkness comes first: what little light a dark image has is often uneven too, and more light
    fixes both.

    Args:
        statistics: `image_id`, `brightness` (0 to 255) and `unevenness` (0 to 1).
        dark_below: Brightness below it is dark.
        bright_above: Brightness above it is bright.
        uneven_above: Unevenness above it is uneven.

    Returns:
        `image_id` and `lighting`, sorted by `image_id`.
    """
    word = (
        pl.when(pl.col("brightness").is_null())
        .then(None)
        .when(pl.col("brightness") < dark_below)
        .then(pl.lit("dark"))
        .when(pl.col("brightness") > bright_above)
        .then(pl.lit("bright"))
        .when(pl.col("unevenness") > uneven_above)
        .then(pl.lit("uneven"))
        .otherwise(pl.lit("normal"))
    )
    return statistics.select("image_id", word.cast(pl.String).alias("lighting")).sort("image_id")
