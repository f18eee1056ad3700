"""Which intersections of demographic axes are empty, or too small to judge a model on."""

from __future__ import annotations

import polars as pl

from iip_assets.audit.coverage_ledger import most_lacking
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    NextStep,
    Paragraph,
    Section,
    Table,
    number,
)
from iip_assets.report.metrics import records
from iip_assets.statistics.demographics import TIMES

MOST_ROWS = 25


def ledger(coverage_ledger: pl.DataFrame, difference: float) -> Section | None:
    """The cells that lack most, first of all those that nobody belongs to."""
    if coverage_ledger.is_empty():
        return None
    lacking = records(most_lacking(coverage_ledger))
    axes = coverage_ledger["axis"][0].replace(TIMES, ", ")
    text = (
        f"{len(lacking)} cells of {axes} lack test subjects: those that would show a difference of "
        f"{number(difference)} to all others in 8 of 10 cases, if subjects vary as all do. All "
        "cells stand in the table coverage_ledger."
    )
    columns: list[Column | str] = [
        *("cell", "n_images", "n_subjects"),
        Column("test subjects", "test_subjects", COUNT),
        Column("metric", lambda row: spelled(row["metric"] or "")),
        "value",
        Column("width of the interval", "width", NUMBER),
        Column("needed in test", "subjects_needed", COUNT),
        Column("more", "more_subjects", COUNT),
    ]
    blocks: list[Block] = [Paragraph(text), Table("What lacks most", columns, lacking[:MOST_ROWS])]
    steps = []
    for row in lacking[:1]:
        there = f"{row['n_subjects']} subjects of this {axes}, {row['test_subjects']} in test."
        more = row["more_subjects"]
        asked = f" To judge the {row['model']} on them takes {more} more in test." if more else ""
        steps.append(NextStep(5, f"{row['cell']} lacks most", there + asked))
    data = {"coverage_ledger": lacking}
    return Section("ledger", "Coverage of intersections", blocks, data, steps=steps)
