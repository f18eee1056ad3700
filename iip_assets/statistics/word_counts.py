"""Counts of a word column, for people."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.statistics.interval import wilson_interval


def word_counts(
    table: pl.DataFrame, column: str, words: Sequence[str]
) -> list[dict[str, str | int | float]]:
    """One record per word in the given order, then `not known`: n, share, 95% interval."""
    total = table.height
    records: list[dict[str, str | int | float]] = []
    for word in (*words, None):
        n = int((table[column].is_null() if word is None else table[column] == word).sum())
        low, high = wilson_interval(n / total if total else 0.0, total)
        records.append(
            {
                column: word or "not known",
                "n": n,
                "share": n / total if total else 0.0,
                "low": low,
                "high": high,
            }
        )
    return records
