"""How each image is lit and what each eye stands before, in a word, and counts of such words."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

LIGHTING = ("dark", "normal", "bright", "uneven")

BACKGROUNDS = ("plain", "textured", "cluttered")


def lighting_table(
    statistics: pl.DataFrame, *, dark_below: float, bright_above: float, uneven_above: float
) -> pl.DataFrame:
    """`image_id` and `lighting` of every image, sorted: dark, bright, else uneven, else normal.

    Null where not measured. Darkness comes first: what little light a dark image has is often
    uneven too, and more light fixes both. Limits are of `brightness` (0 to 255) and `unevenness` (0
    to 1).
    """
    brightness = pl.col("brightness")
    word = (
        pl.when(brightness.is_null())
        .then(None)
        .when(brightness < dark_below)
        .then(pl.lit("dark"))
        .when(brightness > bright_above)
        .then(pl.lit("bright"))
        .when(pl.col("unevenness") > uneven_above)
        .then(pl.lit("uneven"))
        .otherwise(pl.lit("normal"))
    )
    return statistics.select("image_id", lighting=word).sort("image_id")


def background_table(
    statistics: pl.DataFrame, *, plain_below: float, cluttered_above: float
) -> pl.DataFrame:
    """`image_id` and `background` of every image, sorted: plain, textured or cluttered.

    Null where the image could not be measured, or where the eye fills the frame. Limits are of
    `background_edges` (0 to 1).
    """
    edges = pl.col("background_edges")
    word = (
        pl.when(edges < plain_below)
        .then(pl.lit("plain"))
        .when(edges > cluttered_above)
        .then(pl.lit("cluttered"))
        .when(edges.is_not_null())
        .then(pl.lit("textured"))
    )
    return statistics.select("image_id", background=word).sort("image_id")


def word_counts(
    table: pl.DataFrame, column: str, words: Sequence[str]
) -> list[dict[str, str | int | float]]:
    """One record per word in the given order, then `not known`: n and share of all images."""
    total = table.height
    records: list[dict[str, str | int | float]] = []
    for word in (*words, None):
        n = int((table[column].is_null() if word is None else table[column] == word).sum())
        share = n / total if total else 0.0
        records.append({column: word or "not known", "n": n, "share": share})
    return records
