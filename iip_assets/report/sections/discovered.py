"""Slices that were found, not asked for: where each model fails more than elsewhere."""

from __future__ import annotations

import shlex

import polars as pl

from iip_assets.report.blocks import (
    NUMBER,
    Block,
    Column,
    Heading,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    estimate,
    estimate_column,
)
from iip_assets.report.gallery import paths, strip
from iip_assets.report.metrics import records
from iip_assets.report.sections.clusters import STRIP_IMAGES

_TEXT = (
    "Sought among all conjunctions of two tags and many groups of images that look alike; what "
    "chance would give the worst of so many is left out. The error is what the filter's "
    "probability of the label, or the segmenter's mean IoU, lacks of 1. A slice was chosen because "
    "its error is high, so expect a lower one on new images."
)


def discovered(discovered_slices: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]) -> Section:
    """Each slice in words with its error, its typical images, and the command that accepts it."""
    rows = records(discovered_slices.with_columns(pl.col("exemplars").list.head(STRIP_IMAGES)))
    columns: list[Column | str] = [Column("slice", "name"), "model", "n_images", "n_subjects"]
    columns += [estimate_column("error, interval", "error")]
    columns += [Column("elsewhere", "rest_error", NUMBER)]
    blocks: list[Block] = [Paragraph(_TEXT, soft=True), Table("Discovered slices", columns, rows)]
    for row in rows:
        blocks += [
            Heading(f"{row['model'].capitalize()}: {row['name']}"),
            Paragraph(f"Later models are judged on it after `{_command(row)}`."),
            strip(row["exemplars"], paths(raw_dataset)),
        ]
    steps = [
        NextStep(
            2,
            f"The {row['model']} fails on {row['name']}",
            f"Mean error {estimate(row['error'], row['low'], row['high'])}, n = {row['n_images']} "
            f"of {row['n_subjects']} subjects, against {row['rest_error']:.3f} elsewhere. Look at "
            f"its images; `{_command(row)}` keeps later models from falling back on it.",
        )
        for row in rows[:1]
    ]
    data = {"discovered": rows}
    return Section("discovered", "Discovered slices", blocks if rows else (), data, steps=steps)


def _command(row: Row) -> str:
    return f"iip slices accept {shlex.quote(row['name'])}"
