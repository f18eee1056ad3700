"""How the newest batch differs from older ones, since when, and what kind of drift that is."""

from __future__ import annotations

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
    estimate_column,
    interval,
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

Record = dict[str, Any]


def drift(
    drift_report: Report | None = None,
    drift_history: dict[str, pl.DataFrame] | None = None,
    output_alarms: pl.DataFrame | None = None,
    serving_drift: dict[str, pl.DataFrame] | None = None,
) -> Section | None:
    """What kind of drift there is, which features moved, by how much, since when and for whom."""
    blocks: list[Block] = []
    data: Record = {}
    numbers: list[Number] = []
    steps: list[NextStep] = []
    if drift_report is not None:
        found = _newest(drift_report)
        batch, n = found["batch"], counted(found["n_current"], "image")
        blocks += _newest_blocks(found)
        notes = (f"of {counted(len(found['columns']), 'feature')} moved", f"n = {n}")
        numbers = [Number(f"drift of batch {batch}", percent(found["share_moved"]), notes, rank=2)]
        steps = _newest_steps(found)
        data["drift"] = found
    if drift_history is not None:
        blocks += _alarm_blocks(drift_history)
        data["drift_alarms"] = records(drift_history["alarms"].drop_nulls("since"))
    if output_alarms is not None:
        rows = records(output_alarms)
        blocks += [Heading("Limits of metrics"), _limits(rows)]
        data["output_alarms"] = rows
        steps += [
            NextStep(
                1,
                f"{row['metric']} is below its limit since {row['batch']}",
                f"It is at most {row['at_most']:.3f} on test images from that batch on; its limit "
                f"is {row['limit']:g}.",
            )
            for row in rows
            if row["alarm"]
        ][:1]
    if serving_drift is not None:
        logged = {name: records(serving_drift[name]) for name in ("features", "skew", "files")}
        blocks += _serving_blocks(logged)
        data["serving_drift"] = logged
        steps += _serving_steps(logged)
    return Section("drift", "Drift", blocks, data, numbers, steps) if blocks else None


def _newest(drift_report: Report) -> Record:
    data: Record = dict(drift_report.data)
    columns = [{**column, "change": change_in_words(column)} for column in data["columns"]]
    names = ("batch", "compared", "n_reference", "n_current", "share_moved", "not_compared")
    return {name: rounded(data[name]) for name in (*names, "groups", "concept")} | {
        "columns": columns
    }


def _newest_blocks(found: Record) -> list[Block]:
    columns, batch = found["columns"], found["batch"]
    text = (
        f"Batch {batch}: {counted(found['n_current'], 'image')} against "
        f"{counted(found['n_reference'], 'training image')} ({found['compared']}). A feature moved "
        "where its distance is above the limit: the set threshold, or what chance gives any of so "
        "many features in so many images, whichever is larger."
    )
    table = Table(
        "Features, the farthest moved first",
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
    figure = plot(
        lambda: drift_figure(columns, batch), "Distributions before and in the newest batch"
    )
    page = Item("The page of drift_report", ": every feature before and after.", _DRIFT_PAGE)
    blocks: list[Block] = [Paragraph(text), Listing([*_kinds(found), page]), figure, table]
    if left_out := found["not_compared"]:
        entries = [Item(text=f"{row['name']}: {row['reason']}") for row in left_out]
        blocks.append(Listing(entries, folded=f"Not compared: {counted(len(left_out), 'feature')}"))
    if groups := found["groups"]:
        blocks += [Heading("Drift by group"), Listing(_groups(groups))]
    return blocks


def _kinds(found: Record) -> list[Item]:
    """What kind of drift there is: of the data, and of what labels mean."""
    moved = [column["name"] for column in found["columns"] if column["moved"]]
    names = f": {', '.join(map(spelled, moved))}" if moved else ""
    kinds = [
        Item(
            "Data drift",
            f": {len(moved)} of {counted(len(found['columns']), 'feature')} moved{names}.",
        )
    ]
    concept = found["concept"]
    if concept is None or concept["excess_error"] is None:
        return [*kinds, Item("Concept drift", ": cannot be told without labels on both sides.")]
    of = f"n = {concept['n_images']} labelled images of {concept['n_subjects']} subjects"
    if concept["p"] is None:
        return [*kinds, Item("Concept drift", f": cannot be told, too few subjects ({of}).")]
    ends = f"(interval {interval(concept['low'], concept['high'], signed)})"
    verdict = (
        "labels differ from predictions by more than confidence predicts"
        if concept["p"] < _ALPHA
        else "none is shown"
    )
    text = (
        f": {verdict}. Unexpected errors, newest minus older images: "
        f"{signed(concept['excess_error'])} {ends}, p = {concept['p']:.2g}, {of}."
    )
    return [*kinds, Item("Concept drift", text)]


def _groups(groups: list[Record]) -> list[Item]:
    """A line a group: what moved in it, or that it is too small to tell."""
    found: dict[str, Item] = {}
    for row in groups:
        name = f"{spelled(row['axis'])} {row['group']}"
        text = row["reason"] if row["feature"] is None else f"{row['feature']} {row['change']}"
        so_far = found[name].text.removesuffix(".") + "; " if name in found else _sizes(row)
        found[name] = Item(name, f"{so_far}{text}.")
    return list(found.values())


def _sizes(row: Record) -> str:
    return f" (n = {row['n_reference']} and {row['n_current']} images): "


def _newest_steps(found: Record) -> list[NextStep]:
    batch, concept = found["batch"], found["concept"]
    steps = [
        NextStep(
            5,
            f"Batch {batch} differs in {spelled(column['name'])}",
            f"{column['change']}; distance {column['score']:.2f}, from {column['threshold']:.2f} "
            "it counts as moved. If images will look like this from now on, test images should "
            "too.",
        )
        for column in [column for column in found["columns"] if column["moved"]][:MOST_STEPS]
    ]
    if concept and concept["p"] is not None and concept["p"] < _ALPHA:
        text = (
            f"Errors are {percent(concept['excess_error'])} points more often than confidence "
            f"predicts, p = {concept['p']:.2g}. Compare its labels with the labeling instructions."
        )
        steps.append(NextStep(4, f"Labels of batch {batch} differ from predictions", text))
    return steps


def _alarm_blocks(tables: dict[str, pl.DataFrame]) -> list[Block]:
    """Since when which feature is another, from batch to batch."""
    alarms = records(tables["alarms"])
    raised = [row for row in alarms if row["since"] is not None]
    parts = len(alarms)
    text = (
        f"Alarms follow {counted(parts, 'number and share')} over the batches, a subject once, and "
        "hold their level however often one looks. "
        + ("No alarm is raised." if not raised else "An alarm stays until drift.alarms_from.")
    ).replace("number and shares", "numbers and shares")
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
    blocks: list[Block] = [Heading("From batch to batch"), Paragraph(text)]
    if raised:
        blocks.append(Listing([Item(text=alarm_in_words(row)) for row in raised]))
    alt = "Features by batch, with intervals and since when they are others"
    return [*blocks, plot(lambda: history_figure(tables), alt), table]


def _limits(rows: list[Record]) -> Table:
    return Table(
        "Metrics on test images by batch, and the most that they can be since then",
        [
            "metric",
            "batch",
            estimate_column("value, interval", "value"),
            Column("at most since then", "at_most", NUMBER),
            Column("limit", "limit", NUMBER),
            Column("alarm", lambda row: "alarm" if row["alarm"] else "no"),
            Column("subjects", "n_subjects", COUNT),
        ],
        rows,
    )


def _serving_blocks(logged: Record) -> list[Block]:
    """What deployed models met, and where they were given other numbers than the graph has."""
    features, differ = logged["features"], [row for row in logged["skew"] if row["differ"]]
    n = max((row["n_images"] for row in logged["skew"]), default=0)
    text = (
        f"{counted(sum(row['rows'] or 0 for row in logged['files']), 'prediction')} are logged. "
        "Whose eye an image shows is not known there, so each image counts as a person alone: many "
        "images of a few people can pass for drift."
    )
    shown = {
        verdict: ", ".join(spelled(row["feature"]) for row in features if row["verdict"] == verdict)
        for verdict in ("moved", "skew")
    }
    found = "; ".join(map(skew_in_words, differ)) or "no number differs"
    if shown["skew"]:
        found += f"; what moved by it says nothing about the world: {shown['skew']}"
    none = "cannot be told, as no logged image is in the data"
    skew = f"{counted(n, 'logged image')} in the data too: {found}" if n else none
    items = [
        Item("Drift of the world", f": {shown['moved'] or 'none is shown'}."),
        Item("Training-serving skew", f": {skew}."),
        *(
            Item("Not used", f": {f['file']}, {f['reason']}.")
            for f in logged["files"]
            if f["reason"]
        ),
    ]
    table = Table(
        "Logged images against the data",
        [
            "feature",
            "verdict",
            Column("distance", "score", NUMBER),
            Column("limit", "threshold", NUMBER),
            Column("change", lambda row: row["change"] or row["reason"]),
            Column("images of the data", "n_reference", COUNT),
            Column("logged images", "n_logged", COUNT),
        ],
        features,
    )
    return [Heading("Prediction log"), Paragraph(text), Listing(items), table]


def _serving_steps(logged: Record) -> list[NextStep]:
    if differ := [row for row in logged["skew"] if row["differ"]]:
        text = f"{skew_in_words(differ[0])}. Compare how images are decoded and scaled there."
        return [NextStep(2, "Serving computes other numbers than the graph", text)]
    for row in logged["features"]:
        if row["verdict"] == "moved":
            text = f"{row['change']}; n = {counted(row['n_logged'], 'logged image')}. Label some."
            return [NextStep(4, f"Logged images differ in {spelled(row['feature'])}", text)]
    return []
