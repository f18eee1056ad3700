"""Slices: how each model does on them, which were found, and which are too small to judge."""

from __future__ import annotations

import shlex
from typing import Any

import polars as pl

from iip_assets.audit.coverage_ledger import most_lacking
from iip_assets.dataset.schema import UNKNOWN
from iip_assets.evaluation.summary import headline, slice_rows
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    COUNT,
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
    interval,
    number,
    plot,
)
from iip_assets.report.figures import forest_figure
from iip_assets.report.gallery import paths, strip
from iip_assets.report.metrics import records, rounded
from iip_assets.report.sections.clusters import STRIP_IMAGES
from iip_assets.statistics.demographics import TIMES

MOST_STEPS, MOST_CELLS = 2, 25
# The chance of naming any slice that is not weaker.
ALPHA = 0.05
_DISCOVERED = (
    "Sought among all conjunctions of two tags and many groups of images that look alike; what "
    "chance would give the worst of so many is left out. The error is what the filter's "
    "probability of the label, or the segmenter's mean IoU, lacks of 1. A slice was chosen because "
    "its error is high, so expect a lower one on new images."
)

Record = dict[str, Any]


def slices(model_evaluation: dict[str, pl.DataFrame]) -> Section:
    """Who the models fail, where there are enough subjects to say so."""
    metrics = model_evaluation["metrics"]
    tables = {one: rows for one in TASKS if (rows := records(slice_rows(metrics, one)))}
    text = (
        "Lines are intervals, the dashed line is the overall value. Slices with too few "
        "held-out images or subjects are grey and hollow: do not read them as findings."
    )
    blocks: list[Block] = [Paragraph(text)] if tables else []
    steps: list[NextStep] = []
    for model, rows in tables.items():
        overall = headline(metrics, model)
        blocks += _model_blocks(model, rows, overall)
        if overall and overall["value"] is not None:
            steps += _weak_slices(model, rows, rounded(overall["value"]))
    steps += _small_slices([row for rows in tables.values() for row in rows])
    return Section("slices", "By slice", blocks, {"slices": tables}, steps=steps)


def _model_blocks(model: str, rows: list[Record], overall: Record | None) -> list[Block]:
    alt = f"{spelled(rows[0]['metric'])} of the {model} by slice, with intervals"
    return [
        Heading(model.capitalize()),
        plot(lambda: forest_figure(rows, overall), alt),
        Table(
            "Held-out images by slice",
            ["axis", "slice", "metric", "value", "n_images", "enough"],
            rows,
            folded=f"The {model} by slice as a table",
        ),
    ]


def _weak_slices(model: str, rows: list[Record], overall: float) -> list[NextStep]:
    # A low value of few images is often luck, and of many slices a few lie low by chance.
    weak = [row for row in rows if row["p_holm"] is not None and row["p_holm"] <= ALPHA]
    asked = sum(row["p_holm"] is not None for row in rows)
    weak.sort(key=lambda row: (row["value"], row["axis"], row["slice"]))
    return [
        NextStep(
            1,
            f"The {model} is weaker on {row['axis']} {row['slice']}",
            f"{spelled(row['metric'])} {row['value']:.3f} ({interval(row['low'], row['high'])}, "
            f"n = {row['n_images']} of {row['n_subjects']} subjects) against {overall:.3f} "
            f"overall; p = {row['p_holm']:.2g}, corrected for the {asked} slices that were "
            "compared. Look at the failures before labeling more of these.",
        )
        for row in weak[:MOST_STEPS]
    ]


def _small_slices(rows: list[Record]) -> list[NextStep]:
    small = {
        (row["axis"], row["slice"]) for row in rows if not row["enough"] and row["slice"] != UNKNOWN
    }
    if not small:
        return []
    named = ", ".join(f"{axis} {name}" for axis, name in sorted(small)[:5])
    more = f" and {len(small) - 5} more" if len(small) > 5 else ""
    text = f"Too few held-out images or subjects in {named}{more}."
    return [NextStep(9, "Slices too small to judge", text)]


def discovered(discovered_slices: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]) -> Section:
    """Each slice in words with its error, its typical images, and the command that accepts it."""
    rows = records(discovered_slices.with_columns(pl.col("exemplars").list.head(STRIP_IMAGES)))
    columns: list[Column | str] = [Column("slice", "name"), "model", "n_images", "n_subjects"]
    columns += [estimate_column("error, interval", "error")]
    columns += [Column("elsewhere", "rest_error", NUMBER)]
    blocks: list[Block] = [
        Paragraph(_DISCOVERED, soft=True),
        Table("Discovered slices", columns, rows),
    ]
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
    blocks: list[Block] = [Paragraph(text), Table("What lacks most", columns, lacking[:MOST_CELLS])]
    steps = []
    for row in lacking[:1]:
        there = f"{row['n_subjects']} subjects of this {axes}, {row['test_subjects']} in test."
        more = row["more_subjects"]
        asked = f" To judge the {row['model']} on them takes {more} more in test." if more else ""
        steps.append(NextStep(5, f"{row['cell']} lacks most", there + asked))
    data = {"coverage_ledger": lacking}
    return Section("ledger", "Coverage of intersections", blocks, data, steps=steps)
