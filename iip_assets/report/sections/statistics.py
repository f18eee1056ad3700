"""Whom the images show, how they are lit, and what stands behind the eyes."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.report.blocks import (
    COUNT,
    PERCENT,
    Block,
    Column,
    NextStep,
    Paragraph,
    Section,
    Side,
    Table,
    estimate_column,
    percent,
    plot,
)
from iip_assets.report.metrics import rounded
from iip_assets.statistics.figures import coverage_figure

MOST_STEPS = 2


def coverage(demographic_stats: pl.DataFrame, tolerance: float) -> Section:
    """Shares with intervals, targets, and how many images are lacking."""
    rows = coverage_table(demographic_stats)
    data = {"coverage": rows}
    if not rows:
        return Section("coverage", "Coverage", data=data)
    blocks: list[Block] = [
        Paragraph("Shares are of the images whose value is known, with 95% intervals."),
        plot(
            lambda: coverage_figure(demographic_stats, tolerance=tolerance),
            "Shares of images by demographic axis, with targets",
        ),
        Table(
            "Coverage beside the target",
            [
                "axis",
                Column("value", "value"),
                "n",
                estimate_column("share, 95% interval", "share", show=percent),
                Column("target", "target", PERCENT),
                Column("to add", "needed", COUNT),
            ],
            rows,
            folded="Coverage as a table",
        ),
    ]
    return Section("coverage", "Coverage", blocks, data, steps=_steps(rows))


def coverage_table(demographics: pl.DataFrame) -> list[dict[str, Any]]:
    """Values of single axes beside their target; values that have a target first within an axis."""
    single = demographics.filter(~pl.col("axis").str.contains("×", literal=True))
    return [
        {
            "axis": row["axis"],
            "value": row["value"],
            "n": row["n"],
            "n_subjects": row.get("n_subjects"),
            "share": rounded(row.get("known_share", row["share"])),
            "low": rounded(row.get("low")),
            "high": rounded(row.get("high")),
            "target": rounded(row["target"]),
            "gap": rounded(row["gap"]),
            "needed": row.get("needed"),
            "enough": row["enough"],
        }
        for row in single.iter_rows(named=True)
    ]


def _steps(rows: list[dict[str, Any]]) -> list[NextStep]:
    gaps = [row for row in rows if row["target"] is not None and (row["gap"] or 0) < 0]
    gaps.sort(key=lambda row: (row["gap"], row["axis"], row["value"]))
    return [
        NextStep(
            4,
            f"Too few images of {row['axis']} {row['value']}",
            f"{row['share']:.1%} of the images where it is known (n = {row['n']}), the "
            f"target is {row['target']:.1%}."
            + (f" {row['needed']} more would reach it." if row["needed"] else ""),
        )
        for row in gaps[:MOST_STEPS]
        if row["share"] is not None
    ]


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
