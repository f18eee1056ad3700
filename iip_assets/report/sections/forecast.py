"""What the newest batch will do to the models, and whether to train with it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from iip_assets.audit.figures import verdict_rows
from iip_assets.drift.forecast_summary import ALT, best_rows, forecast_figure, past_errors
from iip_assets.errors import counted
from iip_assets.metrics.names import OVERALL, spelled
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Heading,
    Item,
    Listing,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    estimate,
    estimate_column,
    number,
    plot,
    short_number,
    signed,
)
from iip_assets.report.metrics import records

_TEXT = (
    "What the metrics will be on images like batch {batch}, as if nobody had labelled it. "
    "Reweighted: the held-out images of older batches count as much as makes them like the new "
    "ones. Recalibrated (PAPE): what the filter's probabilities on the new images lead to expect. "
    "Of the batch only images count that taught no model: {images}. Both suppose that images like "
    "these keep their labels; measured is what its labels say so far."
)
_PAST = (
    "Each earlier batch was forecast from what came before it, by the present models, and held "
    "against what was measured on it; beside it the error of expecting no change."
)


def forecast(
    drift_forecast: dict[str, pl.DataFrame], batch_verdict: pl.DataFrame | None = None
) -> Section | None:
    """Each metric now, as expected, and as measured; and what retraining with the batch brings."""
    sides = records(drift_forecast["sides"])
    if not sides:
        return None
    rows, past = records(drift_forecast["forecast"]), records(drift_forecast["past"])
    batch = sides[0]["batch"]
    images = ", ".join(f"{row['new_images']} for the {row['model']}" for row in sides)
    reasons = [
        Item(f"No forecast of the {row['model']}", f": {row['reason']}.")
        for row in sides
        if row["reason"]
    ]
    best = best_rows(drift_forecast["forecast"])
    groups = {True: set[str](), False: set[str]()}
    for row in rows:
        if row["axis"] != OVERALL:
            groups[row["value"] is not None].add(f"{row['slice']} ({row['model']})")
    few = sorted(groups[False] - groups[True])
    blocks: list[Block] = [Paragraph(_TEXT.format(batch=batch, images=images))]
    if reasons:
        blocks.append(Listing(reasons))
    if any(row["value"] is not None for row in best):
        blocks.append(plot(lambda: forecast_figure(best), ALT))
    blocks.append(forecast_table(rows))
    if few:
        blocks.append(Paragraph(f"Of these groups nothing is said: {', '.join(few)}.", soft=True))
    if past:
        heading = Heading("How well earlier batches were forecast")
        blocks += [heading, Paragraph(_PAST), past_table(drift_forecast["past"])]
    steps = [
        NextStep(
            4,
            f"The {row['model']} is expected to do worse on images like batch {batch}",
            f"{spelled(row['metric'])} {number(row['now'])} → {number(row['value'])}, change "
            f"{estimate(row['change'], row['change_low'], row['change_high'], signed)}, on "
            f"{counted(row['n_images'], 'image')}. Label more of them first.",
        )
        for row in best
        if row["axis"] == OVERALL and row["verdict"] == "falls"
    ]
    # Retraining, where training with the newest batch is shown to help.
    steps += [
        NextStep(
            4,
            f"Train with batch {batch}",
            "With it the filter's F1 macro changes by "
            f"{estimate(row['difference'], row['low'], row['high'], signed)} on the validation "
            "images: `iip refresh iris_filter_model`, then `iip models register filter`.",
        )
        for row in ([] if batch_verdict is None else verdict_rows(batch_verdict))
        if row["batch"] == batch and row["verdict"] == "helps"
    ]
    data = {"drift_forecast": {"forecast": rows, "past": past, "sides": sides}}
    return Section("forecast", "What the newest batch will do", blocks, data, steps=steps)


def forecast_table(rows: Sequence[Row]) -> Table:
    """Rows of all images, and of groups of whom something is said."""
    shown = [row for row in rows if row["axis"] == OVERALL or row["value"] is not None]
    columns: list[str | Column] = [
        Column("metric", lambda row: f"{row['model']} {spelled(row['metric'])}"),
        Column("images", lambda row: "all" if row["axis"] == OVERALL else row["slice"]),
        "method",
        Column("now", "now", NUMBER),
        estimate_column("expected", ends=short_number),
        estimate_column("change", "change", "change_low", "change_high", show=signed),
        Column("measured", "measured", NUMBER),
        *("n_images", "n_subjects", "verdict"),
    ]
    return Table("Metrics on older images and as expected on the newest batch", columns, shown)


def past_table(past: pl.DataFrame) -> Table:
    """The mean absolute error of each method over past batches."""
    columns: list[str | Column] = [
        *("model", "metric", "method"),
        Column("error", "error", NUMBER),
        Column("error of no change", "no_change_error", NUMBER),
        Column("measured within the interval", lambda row: f"{row['inside']} of {row['batches']}"),
    ]
    return Table("Mean absolute error over past batches", columns, past_errors(past))


def mix_table(rows: Sequence[Row]) -> Table:
    """What a mix of images would do to each metric."""
    columns: list[str | Column] = [
        *("model", "metric"),
        Column("now", "now", NUMBER),
        estimate_column("with this mix"),
        estimate_column("change", "change", "change_low", "change_high", show=signed),
        Column("count as", "effective_images", COUNT),
        *("n_images", "n_subjects"),
    ]
    return Table("Held-out images weighted to these shares", columns, rows)
