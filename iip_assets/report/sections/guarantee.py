"""What is promised, of whom, and which promises are refused."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.fairness.promises import promise_in_words, why_broken
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Item,
    Listing,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    Tone,
    estimate_column,
)
from iip_assets.report.metrics import records


def _tone(row: Row) -> Tone:
    return "bad" if why_broken(row) else ""


def guarantee(fairness_guarantee: pl.DataFrame) -> Section | None:
    """The promises with their recall, and what would make a refused one good."""
    rows = records(fairness_guarantee)
    return promises(rows) if rows else None


def promises(rows: Sequence[Row]) -> Section:
    """The section of one row at least, by those of fairness_guarantee."""
    columns: list[Column | str] = [
        Column("promise", promise_in_words),
        Column("", lambda row: "not kept" if why_broken(row) else "holds", tone=_tone),
        Column("threshold", "threshold", NUMBER),
        Column("recall", "recall", NUMBER),
        Column("subjects", "n_subjects", COUNT),
        estimate_column("in test", "test_recall", "test_low", "test_high"),
    ]
    text = (
        "The share of usable images that pass, or of a class's pixels that are found, in the mean "
        "over subjects. A promise is granted where calibration subjects, of whom no model learned, "
        f"show it: all of a model at once with confidence {1 - rows[0]['delta']:g}. Recall is "
        "theirs and, as a check, that of the test subjects."
    )
    broken = [Item(promise_in_words(row), f": {why}") for row in rows if (why := why_broken(row))]
    steps = []
    for row in rows:
        if why := why_broken(row):
            advice = "Another threshold, a better model or a lower floor may hold it."
            if more := row["more_subjects"]:
                advice = f"Label {more:,} more of {row['axis']} {row['slice']} for calibration."
            steps.append(NextStep(1, f"Not kept: {promise_in_words(row)}", f"{why}. {advice}"))
    table = Table("Promised recall", columns, rows)
    data = {"guarantee": rows}
    blocks: list[Block] = [Paragraph(text), table, *([Listing(broken)] if broken else [])]
    return Section("guarantee", "Promises", blocks, data, steps=steps)
