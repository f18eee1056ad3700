"""What of the data could not be used, and how to fix it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iip_assets.report.blocks import (
    Block,
    Column,
    NextStep,
    Number,
    Paragraph,
    Section,
    Table,
    count,
)

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 30
COLUMNS = ("what", "path", "batch", "row", "column", "value", "reason", "fix")


def quarantine(quarantine: pl.DataFrame) -> Section:
    """How much could not be used, and the first cases."""
    total = quarantine.height
    ordered = quarantine.sort(quarantine.columns, nulls_last=True).head(MOST_ROWS)
    rows = ordered.select([name for name in COLUMNS if name in ordered.columns]).to_dicts()
    blocks: list[Block] = [Paragraph("Everything could be used.")]
    if total:
        more = f" The first {len(rows)} are shown." if total > len(rows) else ""
        blocks = [
            Paragraph(f"Entries that could not be used: {count(total)}.{more}"),
            Table(
                "What could not be used, why, and how to fix it",
                [Column(name, name) for name in COLUMNS],
                rows,
            ),
        ]
    text = f"In quarantine: {total}, each with how to fix it."
    steps = [NextStep(8, "Files and rows that could not be used", text)] if total else []
    note = "images, masks and rows that could not be used"
    return Section(
        "quarantine",
        "Quarantine",
        blocks,
        {"quarantine": {"total": total, "rows": rows}},
        [Number("quarantine", count(total), (note,), rank=3)],
        steps,
    )
