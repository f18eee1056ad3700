"""Named subsets of images: bands of age, and each value of each axis; the unknown is one too."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from iip_assets.dataset.schema import UNKNOWN

if TYPE_CHECKING:
    import polars as pl

AGE_AXIS = "age_band"


def age_band_names(age_bands: Sequence[int]) -> list[str]:
    """Names of the bands that begin at these ages: (0, 18, 75) gives "0-17", "18-74", "75+".

    Raises:
        ValueError: The ages do not rise.
    """
    if not age_bands or any(low >= high for low, high in pairwise(age_bands)):
        raise ValueError(
            f"slices.age_bands must be one or more rising ages, they are {list(age_bands)}"
        )
    names = [
        f"{low}-{high - 1}" if high - low > 1 else f"{low}" for low, high in pairwise(age_bands)
    ]
    return [*names, f"{age_bands[-1]}+"]


def age_band(age_years: float | None, age_bands: Sequence[int]) -> str:
    """The band of an age; below the first band "under <age>", not known "unknown"."""
    if age_years is None:
        return UNKNOWN
    place = bisect_right(age_bands, age_years)
    return age_band_names(age_bands)[place - 1] if place else f"under {age_bands[0]}"


def slice_table(
    images: pl.DataFrame,
    *,
    age_bands: Sequence[int],
    axes: Sequence[str],
    extra: Sequence[pl.DataFrame] = (),
) -> pl.DataFrame:
    """Every image's slice on every axis: image_id, axis, slice, sorted.

    Args:
        images: image_id, age_years and columns that serve as axes, such as gender.
        age_bands: Ages in years at which the bands of the axis age_band begin, rising.
        axes: Axes wanted: age_band, a column of `images`, or an axis of `extra`.
        extra: Further axes: long tables (image_id, axis, slice), or image_id beside word columns,
            such as lighting.

    Raises:
        ValueError: An axis is in none of the tables, or the age bands do not rise.
    """
    import polars as pl

    age_band_names(age_bands)
    schema = {"image_id": pl.Utf8, "axis": pl.Utf8, "slice": pl.Utf8}
    if images.is_empty():
        return pl.DataFrame(schema=schema)
    ids = images.select("image_id")
    parts = [
        ids.join(_axis_words(axis, images, age_bands, extra), on="image_id", how="left").select(
            "image_id",
            axis=pl.lit(axis, dtype=pl.Utf8),
            slice=pl.when(pl.col("slice").str.len_chars() > 0)
            .then(pl.col("slice"))
            .otherwise(pl.lit(UNKNOWN)),
        )
        for axis in dict.fromkeys(axes)
    ]
    table = pl.concat(parts) if parts else pl.DataFrame(schema=schema)
    return table.sort("image_id", "axis")


def _axis_words(
    axis: str, images: pl.DataFrame, age_bands: Sequence[int], extra: Sequence[pl.DataFrame]
) -> pl.DataFrame:
    """image_id and slice of one axis, where known."""
    import polars as pl

    if axis == AGE_AXIS:
        bands = [age_band(age, age_bands) for age in images["age_years"]]
        return images.select("image_id", slice=pl.Series(bands, dtype=pl.Utf8))
    for table in (images, *extra):
        if axis in table.columns and axis not in ("image_id", "axis", "slice"):
            return table.select("image_id", slice=pl.col(axis).cast(pl.Utf8))
        if {"axis", "slice"} <= set(table.columns) and (table["axis"] == axis).any():
            return table.filter(pl.col("axis") == axis).select("image_id", "slice")
    further = [name for table in extra for name in _axes_of(table)]
    known = sorted({AGE_AXIS, *_axes_of(images), *further})
    raise ValueError(f"a setting names the axis {axis!r}, known are {', '.join(known)}")


def _axes_of(table: pl.DataFrame) -> list[str]:
    if {"axis", "slice"} <= set(table.columns):
        return [str(name) for name in table["axis"].unique()]
    return [
        name
        for name, dtype in table.schema.items()
        if str(dtype) == "String" and name != "image_id"
    ]
