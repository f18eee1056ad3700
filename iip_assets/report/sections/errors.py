"""Where the errors are: by tag and slice, what goes with them, and the hardest images."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from iip_assets.audit.error_analysis import FEW, NONE
from iip_assets.images.contact_sheet import image_name
from iip_assets.metrics.names import OVERALL
from iip_assets.models.tasks import TASKS
from iip_assets.report.blocks import (
    COUNT,
    FIGURE,
    NUMBER,
    PERCENT,
    SIGNED,
    Block,
    Column,
    Heading,
    Images,
    NextStep,
    Paragraph,
    Row,
    Section,
    Table,
    estimate_column,
    number,
    percent,
)
from iip_assets.report.gallery import paths, thumbnail
from iip_assets.report.metrics import records

MOST_SLICES, MOST_IMAGES, MOST_STEPS = 4, 8, 2
# Rows that are not folded away.
MOST_ROWS = 12
_TEAM = ("importance", "ease")

_TEXT = (
    "Each image was judged by models that did not see its subject, so that all images count and "
    "not those held out alone. The value is one minus the mean error: of the filter the "
    "probability of the label, of the segmenter the IoU. The gap is to the target of "
    "`slices.toml`, else to people, else to all other images; the potential is gap times share, "
    "what all images would gain. Importance and ease are the team's, in `slices.toml`. Press a "
    "heading to sort."
)
_DRIVERS = (
    "How much of the differences in error between images goes with each attribute: what a model of "
    "the error, on subjects that it did not see, explains less where the attribute is shuffled. It "
    "goes with the error; it need not cause it."
)


def errors(
    raw_dataset: dict[str, pl.DataFrame],
    image_difficulty: pl.DataFrame,
    error_analysis: pl.DataFrame,
    image_tags: pl.DataFrame,
    error_drivers: pl.DataFrame | None = None,
) -> Section:
    """The table of error analysis of each model, the images behind it, what goes with errors."""
    rows = records(error_analysis)
    drivers = [] if error_drivers is None else records(error_drivers)
    blocks: list[Block] = [Paragraph(_TEXT)] if rows else []
    for model in TASKS:
        own = [row for row in rows if row["model"] == model]
        if not own:
            continue
        # Where nothing is to be done, the hardest of all images.
        shown = _to_act_on(own)[:MOST_SLICES] or [row for row in own if row["axis"] == OVERALL]
        blocks += [Heading(model.capitalize()), analysis_table(model, own[:MOST_ROWS], shown)]
        if len(own) > MOST_ROWS:
            blocks.append(analysis_table(model, own, shown, folded=f"All {len(own)} rows"))
        hardest = image_difficulty.filter(model=model)
        blocks += _galleries(model, shown, hardest, image_tags, paths(raw_dataset))
        if part := [row for row in drivers if row["model"] == model]:
            share = estimate_column(
                "share of the differences, interval", "importance", show=percent
            )
            worst = Column("highest error at", "worst")
            title = f"What goes with the {model}'s error"
            table = Table(title, ["attribute", share, worst, "n_images", "n_subjects"], part)
            blocks += [Paragraph(_DRIVERS), table]
    data = {"error_analysis": rows, "error_drivers": drivers}
    return Section("errors", "Error analysis", blocks, data, steps=_steps(rows))


def analysis_table(
    model: str, rows: Sequence[Row], shown: Sequence[Row] = (), folded: str = ""
) -> Table:
    """The table of a model, which leads to the images of the slices that are shown."""
    anchors = {(row["axis"], row["slice"]): _anchor(row) for row in shown}
    return Table(
        f"Where the {model} errs, and what to do",
        [
            Column("slice", _name, link=lambda row: anchors.get((row["axis"], row["slice"]), "")),
            Column("what to do", lambda row: row["reason"] and f"{row['action']}: {row['reason']}"),
            estimate_column("value, interval"),
            Column("held against", _reference, FIGURE),
            Column("gap", "gap", SIGNED),
            Column("of data", "share", PERCENT),
            Column("of error", "error_share", PERCENT),
            Column("potential", "potential", NUMBER),
            *(Column(one, one, COUNT) for one in _TEAM if any(row[one] for row in rows)),
            "n_images",
            "n_subjects",
        ],
        rows,
        folded,
        tone=lambda row: "soft" if row["action"] in (NONE, FEW) else "",
        sortable=True,
    )


def _to_act_on(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["action"] not in (NONE, FEW)]


def _name(row: Row) -> str:
    if row["axis"] == OVERALL:
        return "all images"
    # As in "cluster 3" and "no glint".
    return row["slice"] if row["axis"] in row["slice"] else f"{row['axis']} {row['slice']}"


def _anchor(row: Row) -> str:
    return re.sub(r"\W+", "-", f"errors {row['model']} {row['axis']} {row['slice']}")


def _reference(row: Row) -> str:
    known = row["reference"] is not None
    return f"{number(row['reference'])}\n{row['reference_of']}" if known else ""


def _galleries(
    model: str,
    shown: Sequence[Row],
    hardest: pl.DataFrame,
    tags: pl.DataFrame,
    path_of: Mapping[str, str],
) -> list[Block]:
    blocks: list[Block] = []
    for row in shown:
        members = tags.filter(axis=row["axis"], slice=row["slice"]).select("image_id")
        inside = hardest if row["axis"] == OVERALL else hardest.join(members, on="image_id")
        first = inside.sort("error", "image_id", descending=[True, False]).head(MOST_IMAGES)
        tiles = []
        for image_id, error in first.select("image_id", "error").iter_rows():
            one, lead = (image_id, path_of.get(image_id)), f"error {number(error)}"
            alt = f"Image {image_name(*one)}, {lead}"
            tiles.append(thumbnail(one, size=(128, 96), lead=lead, alt=alt))
        if tiles:
            title = f"Hardest for the {model}: {_name(row)}"
            blocks += [Heading(title, _anchor(row)), Images(tiles, "gallery small")]
    return blocks


def _steps(rows: Sequence[Row]) -> list[NextStep]:
    to_do = sorted(_to_act_on(rows), key=lambda row: -(row["priority"] or 0.0))
    return [
        NextStep(
            2,
            f"{row['action'].capitalize()} for {_name(row)}: the {row['model']} could gain "
            f"{number(row['potential'])} over all images",
            f"Its value there is {number(row['value'])} against {number(row['reference'])} of "
            f"{row['reference_of']}, on {percent(row['share'])} of the data; {row['reason']}.",
        )
        for row in to_do[:MOST_STEPS]
    ]
