"""Each model's main metric by slice."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.evaluation.summary import headline, slice_rows
from iip_assets.metrics.names import spelled
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    Block,
    Heading,
    NextStep,
    Paragraph,
    Section,
    Table,
    interval,
    plot,
)
from iip_assets.report.figures import forest_figure
from iip_assets.report.metrics import records, rounded

MOST_STEPS = 2
# The chance of naming any slice that is not weaker.
ALPHA = 0.05

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
