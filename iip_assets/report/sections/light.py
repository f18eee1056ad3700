"""How the images are lit, and what stands behind the eyes."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.report.blocks import Block, Column, Section, Side, Table
from iip_assets.report.metrics import rounded


def light(
    lighting_stats: pl.DataFrame | None = None, background_stats: pl.DataFrame | None = None
) -> Section:
    """Images by lighting and by background."""
    tables = {"lighting": lighting_stats, "background": background_stats}
    data = {name: word_table(one, name) for name, one in tables.items() if one is not None}
    shown = [
        Table(f"Images by {name}", [Column(name, "value"), "n", "share"], rows)
        for name, rows in data.items()
        if rows
    ]
    blocks: list[Block] = [Side(shown)] if shown else []
    return Section("light", "Light and background", blocks, data)


def word_table(table: pl.DataFrame, column: str) -> list[dict[str, Any]]:
    """Counts of a column's words, the most frequent first; null is `unknown`."""
    words = table[column].cast(pl.String).fill_null("unknown")
    counts = sorted(words.value_counts().rows(), key=lambda pair: (-pair[1], pair[0]))
    return [
        {"value": word, "n": n, "share": rounded(n / max(1, table.height))} for word, n in counts
    ]
