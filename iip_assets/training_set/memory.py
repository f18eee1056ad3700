"""How far back training remembers: all images alike, newer ones more, or a window alone.

Where cameras and people drift, old images teach what no longer holds; where they do not, leaving
any out costs. Which it is, a drift report and two trainings tell (Gama et al., A Survey on Concept
Drift Adaptation, 2014, section 3.2).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Memory = Literal["all", "newer", "window"]


def ages_days(images: pl.DataFrame) -> pl.Series:
    """How many days before the newest image each was taken; null where that is not known.

    An image without a date is as old as the newest one of its batch.

    Args:
        images: `captured_at` (a date) and `batch`.
    """
    taken = pl.col("captured_at")
    known = images.select(taken.fill_null(taken.max().over("batch")).alias("taken"))["taken"]
    newest = known.max()
    if newest is None:
        return pl.Series([None] * images.height, dtype=pl.Float64)
    return images.select(((pl.lit(newest) - known).dt.total_seconds() / 86_400).alias("age_days"))[
        "age_days"
    ]


def remembered(
    ages: pl.Series, memory: Memory, *, half_life_days: float, window_days: float
) -> NDArray[np.float64]:
    """What each image counts for its age, 0 to 1; one of unknown age counts whole.

    Args:
        ages: From `ages_days`.
        memory: `all`, `newer` (half as much after every half life) or `window` (nothing beyond it).
        half_life_days: Of `newer`.
        window_days: Of `window`.
    """
    days = ages.fill_null(0.0).to_numpy().astype(np.float64)
    if memory == "newer":
        return np.asarray(0.5 ** (days / half_life_days))
    if memory == "window":
        return (days <= window_days).astype(np.float64)
    return np.ones(len(days))


def memory_table(
    images: pl.DataFrame, memory: Memory, *, half_life_days: float, window_days: float
) -> pl.DataFrame:
    """`image_id` and `remembered`, what each image counts for its age.

    Args:
        images: `image_id`, `captured_at` and `batch`.
        memory: How far back training remembers.
        half_life_days: Of `newer`.
        window_days: Of `window`.
    """
    counts = remembered(
        ages_days(images), memory, half_life_days=half_life_days, window_days=window_days
    )
    return images.select("image_id", pl.Series("remembered", counts, pl.Float64))
