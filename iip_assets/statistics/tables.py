"""The table of measures, whole and typed, and what it says at a glance."""

from __future__ import annotations

import polars as pl

from iip_assets.statistics.measure import MEASURES


def statistics_table(filled: pl.DataFrame) -> pl.DataFrame:
    """`image_id` and one Float64 column per measure, sorted by `image_id`.

    A measure that no image has (no masks, or no images at all) is a column of nulls, so that what
    reads the table finds every column.

    Args:
        filled: `image_id` and the measures that were computed.
    """
    columns = [
        (pl.col(name) if name in filled.columns else pl.lit(None)).cast(pl.Float64).alias(name)
        for name in MEASURES
    ]
    return filled.select(pl.col("image_id").cast(pl.String), *columns).sort("image_id")


def measured_share(table: pl.DataFrame) -> float:
    """Share of the images that could be measured; 1 for no images."""
    return table["brightness"].count() / table.height if table.height else 1.0


def spread_rows(table: pl.DataFrame) -> list[dict[str, str | int | float | None]]:
    """For each measure, how many images have it, and its 5%, 50% and 95% quantile."""
    return [
        {
            "measure": name,
            "n": table[name].count(),
            **{
                f"q{share:.0%}": table[name].quantile(share, "linear")
                for share in (0.05, 0.5, 0.95)
            },
        }
        for name in MEASURES
    ]
