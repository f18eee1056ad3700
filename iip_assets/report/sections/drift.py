"""How the newest batch differs from the training images before it."""

from __future__ import annotations

from typing import Any

from iip_assets.drift.figures import change_in_words, drift_figure
from iip_assets.engine.values import Report
from iip_assets.metrics.names import spelled
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Item,
    Listing,
    NextStep,
    Number,
    Paragraph,
    Section,
    Table,
    count,
    percent,
    plot,
)
from iip_assets.report.metrics import rounded

MOST_STEPS = 2


def drift(drift_report: Report) -> Section:
    """Which features moved, and how far."""
    data: dict[str, Any] = dict(drift_report.data)
    columns = [{**column, "change": change_in_words(column)} for column in data["columns"]]
    found = {
        "batch": data["batch"],
        "n_reference": data["n_reference"],
        "n_current": data["n_current"],
        "share_moved": rounded(data["share_moved"]),
        "not_compared": data["not_compared"],
        "columns": columns,
    }
    text = (
        f"{count(found['n_current'])} images of batch {found['batch']} against "
        f"{count(found['n_reference'])} training images of older batches. A feature moved where "
        "its distance is above the limit: the set threshold, or what chance gives for so many "
        "images, whichever is larger."
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
    alt = "Distributions before and in the newest batch"
    blocks: list[Block] = [
        Paragraph(text),
        plot(lambda: drift_figure(columns, found["batch"]), alt),
        table,
    ]
    if left_out := found["not_compared"]:
        entries = [Item(text=f"{row['name']}: {row['reason']}") for row in left_out]
        title = f"Not compared: {len(left_out)} features"
        blocks.append(Listing(entries, folded=title))
    notes = (f"of {len(columns)} features moved", f"n = {count(found['n_current'])} images")
    moved = percent(found["share_moved"])
    tile = Number(f"drift of batch {found['batch']}", moved, notes, rank=2)
    return Section("drift", "Drift", blocks, {"drift": found}, [tile], _steps(found))


def _steps(found: dict[str, Any]) -> list[NextStep]:
    moved = [column for column in found["columns"] if column["moved"]]
    return [
        NextStep(
            5,
            f"Batch {found['batch']} differs in {spelled(column['name'])}",
            f"{column['change']}; distance {column['score']:.2f}, from {column['threshold']:.2f} "
            "it counts as moved. If images will look like this from now on, test images should "
            "too.",
        )
        for column in moved[:MOST_STEPS]
    ]
