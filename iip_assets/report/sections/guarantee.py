"""What is promised, of whom, and which promises are refused."""

from __future__ import annotations

import polars as pl

from iip_assets.errors import counted
from iip_assets.fairness.promises import promise_in_words, why_broken
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    NextStep,
    Paragraph,
    Section,
    Table,
    estimate_column,
)
from iip_assets.report.metrics import records

COLUMNS: tuple[Column | str, ...] = (
    Column("of", lambda row: f"{row['model']}, {row['axis']} {row['slice']}"),
    Column("at least", "floor", NUMBER),
    Column(
        "",
        lambda row: "granted" if row["granted"] else "refused",
        tone=lambda row: "" if row["granted"] else "bad",
    ),
    Column("threshold", "threshold", NUMBER),
    Column("recall of calibration subjects", "recall", NUMBER),
    "n_subjects",
    estimate_column("recall of test subjects, interval", "test_recall", "test_low", "test_high"),
    Column("test subjects", "test_subjects", COUNT),
    Column("more subjects needed", "more_subjects", COUNT),
)


def guarantee(fairness_guarantee: pl.DataFrame) -> Section | None:
    """The promises with their recall, and what would make a refused one good."""
    rows = records(fairness_guarantee)
    if not rows:
        return None
    delta = fairness_guarantee["delta"][0]
    text = (
        "The share of usable images that pass, or of a mask's pixels that are found, is in the "
        "mean over subjects at least what [guarantee] of iip.toml says. A promise is granted where "
        "calibration subjects, of whom no model learned, show it: all of a model at once with "
        f"confidence {1 - delta:g}."
    )
    blocks: list[Block] = [Paragraph(text), Table("Promised recall", COLUMNS, rows)]
    steps = []
    for row in rows:
        if why := why_broken(row):
            word = "contradicted by test subjects" if row["granted"] else "refused"
            advice = "Another threshold, a better model or a lower floor may hold it."
            if row["more_subjects"]:
                more = counted(row["more_subjects"], "more subject")
                advice = f"Label {more} of {row['axis']} {row['slice']} for calibration."
            steps.append(
                NextStep(1, f"A promise is {word}: {promise_in_words(row)}", f"{why}. {advice}")
            )
    return Section("guarantee", "Promises", blocks, {"guarantee": rows}, steps=steps)
