"""The benchmark in a few rows, for people."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.robustness.corruptions import SEVERITIES


def worst_rows(table: pl.DataFrame) -> list[dict[str, Any]]:
    """For each model, metric and corruption over all images: the value at the last severity."""
    shown = table.filter(
        (pl.col("axis") == "overall") & (pl.col("severity") == SEVERITIES[-1])
    ).sort(["model", "metric", "relative_drop"], descending=[False, False, True])
    return shown.select(
        "model",
        "metric",
        "corruption",
        "severity",
        pl.col("value", "low", "high", "relative_drop").round(4),
        "n_images",
        "n_subjects",
    ).to_dicts()
