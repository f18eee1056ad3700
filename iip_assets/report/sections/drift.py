"""How the newest batch differs from older ones, since when, and what kind of drift that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.drift.columns import change_in_words
from iip_assets.drift.figures import alarm_in_words, drift_figure, history_figure, stream_name
from iip_assets.drift.serving import skew_in_words
from iip_assets.engine.values import Report
from iip_assets.errors import counted
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Heading,
    Item,
    Listing,
    NextStep,
    Number,
    Paragraph,
    Section,
    Table,
    estimate,
    percent,
    plot,
    signed,
)
from iip_assets.report.metrics import records, rounded

# Lies beside the report.
_DRIFT_PAGE = "drift_report.html"
MOST_STEPS = 2
# Of concept drift, one question of the newest batch.
_ALPHA = 0.05


def drift(
    drift_report: Report | None = None,
    drift_history: dict[str, pl.DataFrame] | None = None,
    serving_drift: dict[str, pl.DataFrame] | None = None,
) -> Section | None:
    """What kind of drift there is, which features moved, by how much, since when and for whom."""
    parts: list[Section] = []
    if drift_report is not None:
        parts.append(_newest(drift_report.data))
    if drift_history is not None:
        parts.append(_history(drift_history))
    if serving_drift is not None:
        parts.append(_serving(serving_drift))
    if not parts:
        return None
    return Section(
        "drift",
        "Drift",
        [block for part in parts for block in part.blocks],
        {name: value for part in parts for name, value in part.data.items()},
        [number for part in parts for number in part.numbers],
        [step for part in parts for step in part.steps],
    )


def _newest(report: Mapping[str, Any]) -> Section:
    """The newest batch against the training images of older ones."""
    names = ("batch", "compared", "n_reference", "n_current", "share_moved", "not_compared")
    data = {name: rounded(report[name]) for name in (*names, "groups", "concept")}
    data["columns"] = [
        {**column, "change": change_in_words(column)} for column in report["columns"]
    ]
    columns, batch = data["columns"], data["batch"]
    moved = [column for column in columns if column["moved"]]
    images, features = counted(data["n_current"], "image"), counted(len(columns), "feature")
    text = (
        f"Batch {batch}: {images} against {counted(data['n_reference'], 'training image')} "
        f"({data['compared']}). A feature moved where its distance is above the limit: the set "
        "threshold, or what chance gives any of so many features in so many images, whichever is "
        "larger."
    )
    table = Table(
        "Features, those that moved first",
        [
            Column("feature", "name"),
            Column("moved", lambda row: "moved" if row["moved"] else "no"),
            Column("distance", "score", NUMBER),
            Column("limit", "threshold", NUMBER),
            "change",
            Column("training images", "n_reference", COUNT),
            Column("batch images", "n_current", COUNT),
        ],
        columns,
    )
    named = ": " + ", ".join(spelled(column["name"]) for column in moved) if moved else ""
    kinds = [
        Item("Data drift", f": {len(moved)} of {features} moved{named}."),
        Item("Concept drift", f": {_concept_in_words(data['concept'])}."),
        Item("The page of drift_report", ": every feature before and after.", _DRIFT_PAGE),
    ]
    alt = "Distributions before and in the newest batch"
    left_out = [Item(text=f"{row['name']}: {row['reason']}") for row in data["not_compared"]]
    groups = [
        Item(
            row["group"],
            f" (n = {row['n_reference']} and {row['n_current']} images): {row['found']}.",
        )
        for row in data["groups"]
    ]
    figure = plot(lambda: drift_figure(columns, batch), alt)
    blocks: list[Block] = [Paragraph(text), Listing(kinds), figure, table]
    if left_out:
        folded = f"Not compared: {counted(len(left_out), 'feature')}"
        blocks.append(Listing(left_out, folded=folded))
    if groups:
        blocks += [Heading("Drift by group"), Listing(groups)]
    steps = [
        NextStep(
            5,
            f"Batch {batch} differs in {spelled(column['name'])}",
            f"{column['change']}; distance {column['score']:.2f}, from {column['threshold']:.2f} "
            "it counts as moved. If images will look like this from now on, test images should "
            "too.",
        )
        for column in moved[:MOST_STEPS]
    ]
    if _contradicts(concept := data["concept"]):
        advice = (
            f"Errors exceed what confidence predicts by {100 * concept['excess_error']:.0f} "
            f"points, p = {concept['p']:.2g}. Compare its labels with the labeling instructions."
        )
        steps.append(NextStep(4, f"Labels of batch {batch} differ from predictions", advice))
    notes = (f"of {features} moved", f"n = {images}")
    numbers = [Number(f"drift of batch {batch}", percent(data["share_moved"]), notes, rank=2)]
    return Section("drift", "Drift", blocks, {"drift": data}, numbers, steps)


def _contradicts(concept: Mapping[str, Any] | None) -> bool:
    return concept is not None and concept["p"] is not None and concept["p"] < _ALPHA


def _concept_in_words(concept: Mapping[str, Any] | None) -> str:
    if concept is None or concept["excess_error"] is None:
        return "cannot be told without labels on both sides"
    of = f"n = {concept['n_images']} labelled images of {concept['n_subjects']} subjects"
    if concept["p"] is None:
        return f"cannot be told, too few subjects ({of})"
    shown = "labels differ from predictions by more than confidence predicts"
    excess = estimate(concept["excess_error"], concept["low"], concept["high"], signed)
    return (
        f"{shown if _contradicts(concept) else 'none is shown'}. Unexpected errors, newest minus "
        f"older images: {excess}, p = {concept['p']:.2g}, {of}"
    )


def _history(tables: dict[str, pl.DataFrame]) -> Section:
    """Since when which feature is another, from batch to batch."""
    alarms = records(tables["alarms"])
    raised = [row for row in alarms if row["since"] is not None]
    text = (
        f"Alarms follow {len(alarms)} numbers and shares over the batches, a subject once, and "
        "hold their level however often one looks. "
        + ("An alarm stays until drift.alarms_from." if raised else "No alarm is raised.")
    )
    table = Table(
        "What is followed, alarms first",
        [
            Column("feature", stream_name),
            Column("since", lambda row: row["since"] or "no alarm"),
            Column("before", "before", NUMBER),
            Column("after", "after", NUMBER),
            Column("change in sd", lambda row: signed(row["shift"])),
            Column("subjects before", "n_before", COUNT),
            Column("after that", "n_after", COUNT),
            Column("evidence (alarm from 1)", "evidence", NUMBER),
        ],
        alarms,
        folded="All that is followed, as a table",
    )
    listed = [Listing([Item(text=alarm_in_words(row)) for row in raised])] if raised else []
    alt = "Features by batch, with intervals and since when they are others"
    figure = plot(lambda: history_figure(tables), alt)
    blocks: list[Block] = [Heading("From batch to batch"), Paragraph(text), *listed, figure, table]
    return Section("drift", "Drift", blocks, {"drift_alarms": raised})


def _serving(tables: dict[str, pl.DataFrame]) -> Section:
    """What deployed models met, and where they were given other numbers than the graph has."""
    logged = {name: records(tables[name]) for name in ("features", "skew", "files")}
    differ = [row for row in logged["skew"] if row["differ"]]
    moved = [row for row in logged["features"] if row["verdict"] == "moved"]
    by_skew = [spelled(row["feature"]) for row in logged["features"] if row["verdict"] == "skew"]
    n = max((row["n_images"] for row in logged["skew"]), default=0)
    text = (
        f"{counted(sum(row['rows'] or 0 for row in logged['files']), 'prediction')} are logged. "
        "Whose eye an image shows is not known there, so each image counts as a person alone: many "
        "images of a few people can pass for drift."
    )
    world = "; ".join(
        f"{spelled(row['feature'])} {row['change']} (n = {row['n_reference']} images of the data "
        f"and {row['n_logged']} logged)"
        for row in moved
    )
    skew = "; ".join(map(skew_in_words, differ)) or "no number differs"
    if by_skew:
        skew += f"; what moved by it says nothing about the world: {', '.join(by_skew)}"
    skew = f"{counted(n, 'logged image')} in the data too: {skew}"
    none = "cannot be told, as no logged image is in the data"
    items = [
        Item("Drift of the world", f": {world or 'none is shown'}."),
        Item("Training-serving skew", f": {skew if n else none}."),
        *(
            Item("Not used", f": {row['file']}, {row['reason']}.")
            for row in logged["files"]
            if row["reason"]
        ),
    ]
    steps = []
    if differ:
        advice = f"{skew_in_words(differ[0])}. Compare how images are decoded and scaled there."
        steps = [NextStep(2, "Serving computes other numbers than the graph", advice)]
    elif moved:
        advice = f"{moved[0]['change']}; n = {counted(moved[0]['n_logged'], 'logged image')}."
        name = f"Logged images differ in {spelled(moved[0]['feature'])}"
        steps = [NextStep(4, name, f"{advice} Label some.")]
    blocks: list[Block] = [Heading("Prediction log"), Paragraph(text), Listing(items)]
    return Section("drift", "Drift", blocks, {"serving_drift": logged}, steps=steps)
