"""Which intersections of demographic axes are empty, or too small to judge a model on."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.audit.coverage_ledger import empty_cells, most_lacking
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    COUNT,
    FIGURE,
    NUMBER,
    Block,
    Column,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    count,
    estimate_column,
    number,
)
from iip_assets.report.metrics import records
from iip_assets.statistics.demographics import TIMES, natural_key

MOST_ROWS, MOST_COLUMNS = 15, 24
_SEPARATOR = f" {TIMES} "

Record = dict[str, Any]


def ledger(coverage_ledger: pl.DataFrame, difference: float) -> Section | None:
    """A map of the cells, darkest where they are empty, and a list of what lacks most."""
    if coverage_ledger.is_empty():
        return None
    lacking = records(most_lacking(coverage_ledger))
    rows = records(coverage_ledger)
    step = [_step(lacking[0], difference)] if lacking else []
    more = f" {len(lacking) - MOST_ROWS} more lack some." if len(lacking) > MOST_ROWS else ""
    text = (
        f"Subjects in each cell, below them those of the test images. The darker a cell, the more "
        f"of the test subjects lack that would show a difference of {number(difference)} to all "
        "others in 8 of 10 cases; `none` is a cell without any image. Cells of fewer than 20 test "
        "subjects are taken to vary between subjects as all do."
    )
    columns: list[Column | str] = [
        *("cell", "n_images", "n_subjects"),
        Column("test subjects", "test_subjects", COUNT),
        Column("metric", lambda row: spelled(row["metric"] or "")),
        estimate_column("value, interval"),
        Column("width", "width", NUMBER),
        Column("needed in test", "subjects_needed", COUNT),
        Column("to collect in all", "subjects_to_collect", COUNT),
    ]
    listed = Table(f"What lacks most.{more}", columns, lacking[:MOST_ROWS])
    blocks: list[Block] = [Paragraph(text), *_map(rows), *([listed] if lacking else [])]
    data = {"coverage_ledger": rows, "empty_cells": empty_cells(coverage_ledger)}
    return Section("ledger", "Coverage of intersections", blocks, data, steps=step)


def _map(rows: list[Record]) -> list[Block]:
    """The cells of the first axes: the first down, the others across."""
    first = [row for row in rows if row["axis"] == rows[0]["axis"]]
    cells: dict[tuple[str, str], Record] = {}
    for row in first:
        down, _, across = row["cell"].partition(_SEPARATOR)
        before = cells.setdefault((down, across), row)
        # Of two models the one that lacks more.
        if (row["more_subjects"] or 0) > (before["more_subjects"] or 0):
            cells[down, across] = row
    downs, acrosses = (sorted({one[at] for one in cells}, key=natural_key) for at in (0, 1))
    shown = acrosses[:MOST_COLUMNS]

    def column(across: str) -> Column:
        def cell(row: Row) -> str:
            found = cells.get((row["down"], across))
            if found is None or not found["n_images"]:
                return "none"
            return f"{count(found['n_subjects'])}\n{count(found['test_subjects'])} in test"

        return Column(
            across.replace(_SEPARATOR, " "),
            cell,
            FIGURE,
            shade=lambda row: _lacking_share(cells.get((row["down"], across))),
        )

    down_axis, _, across_axes = first[0]["axis"].partition(TIMES)
    left_out = len(acrosses) - len(shown)
    caption = f"Subjects by {down_axis}" + (
        f" and {across_axes.replace(TIMES, ', ')}" * bool(across_axes)
    )
    caption += f"; {left_out} more columns are not shown" if left_out else ""
    columns = [Column(down_axis, "down"), *map(column, shown)]
    return [Table(caption, columns, [{"down": down} for down in downs])]


def _lacking_share(row: Record | None) -> float:
    """How much of what is needed lacks, from 0 to 1; all of it in an empty cell."""
    if row is None or not row["n_images"]:
        return 1.0
    if row["more_subjects"] is None or not row["subjects_needed"]:
        return 0.0
    return float(row["more_subjects"] / row["subjects_needed"])


def _step(row: Record, difference: float) -> NextStep:
    there = (
        f"{count(row['n_subjects'])} subjects, {count(row['test_subjects'])} of them in test"
        if row["n_images"]
        else "No image at all"
    )
    asked = (
        f" To see a difference of {number(difference)} of the {row['model']}'s "
        f"{spelled(row['metric'])} takes {count(row['subjects_needed'])} in test; "
        f"{count(row['subjects_to_collect'])} subjects would have to be collected for it."
        if row["subjects_to_collect"] is not None
        else ""
    )
    axes = row["axis"].replace(TIMES, ", ")
    return NextStep(5, f"{row['cell']} lacks most", f"{there} of this {axes}.{asked}")
