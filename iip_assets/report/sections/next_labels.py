"""What to label next and why, and what earlier choices promised and brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.audit.kept_promises import rank_correlation, share_kept
from iip_assets.errors import counted
from iip_assets.images.contact_sheet import image_name
from iip_assets.report.blocks import (
    COUNT,
    NUMBER,
    Block,
    Column,
    Heading,
    Image,
    Images,
    NextStep,
    Paragraph,
    Section,
    Table,
    count,
    estimate_column,
    number,
    signed,
)
from iip_assets.report.metrics import records

MOST = 24
_THUMBNAIL = {"width": 160, "height": 120}
_TEXT = (
    "Of the unlabelled images that would be trained on, those whose labels are expected to bring "
    "most: where models fail or labels are few, of classes and groups with few labels, and unlike "
    "one another. `iip label next --n {n} --format labelstudio --out FOLDER` writes them for a "
    "labeling tool. "
)
_PROMISES = (
    "A batch promises the part of the filter's expected macro error on the pool that lies near its "
    "images, which is the most that it could gain. What came is the change of F1 macro on the "
    "validation images by training with the batch, beside what was labelled before it."
)


def next_labels(
    raw_dataset: dict[str, pl.DataFrame],
    labeling_priorities: dict[str, pl.DataFrame] | None = None,
    kept_promises: pl.DataFrame | None = None,
) -> Section | None:
    """The images to label next with the reasons, and the promises of earlier batches."""
    kept = [] if kept_promises is None else records(kept_promises)
    share = None if kept_promises is None else share_kept(kept_promises)
    blocks: list[Block] = []
    data: dict[str, Any] = {}
    steps: list[NextStep] = []
    if labeling_priorities is not None:
        chosen = labeling_priorities["chosen"]
        (pool,) = records(labeling_priorities["pool"])
        paths = dict(raw_dataset["images"].select("image_id", "path").iter_rows())
        columns = ("rank", "image_id", "gain", "promised_gain", "reason")
        rows = records(chosen.select(columns))
        promised = float(chosen["promised_gain"].sum())
        words = _about(pool, chosen.height, promised, share)
        blocks += [
            Paragraph(_TEXT.format(n=chosen.height) + words),
            Images([_image(row, paths) for row in rows[:MOST]], "gallery"),
        ]
        data["next_labels"] = {"pool": pool, "promised": round(promised, 4), "chosen": rows}
        text = f"{words} The first: {rows[0]['reason']}." if rows else words
        steps.append(NextStep(5, f"Label {counted(chosen.height, 'image')} next", text))
    if kept_promises is not None and kept:
        blocks += _promises(kept, rank_correlation(kept_promises), share)
        data["kept_promises"] = kept
    return Section("labels", "What to label next", blocks, data, steps=steps) if blocks else None


def _about(pool: Mapping[str, Any], chosen: int, promised: float, share: float | None) -> str:
    words = (
        f"{count(pool['unlabelled'])} images have no label; {count(pool['held_out'])} of them are "
        f"held out and not chosen by gain, {count(pool['near_duplicates'])} are near duplicates."
    )
    if pool["expected_error"] is None:
        return f"{words} There is no filter yet, so typical and varied images come first."
    words += (
        f" The filter's expected macro error on the pool is {number(pool['expected_error'])}; "
        f"the {counted(chosen, 'image')} promise {number(promised)} of it."
    )
    if share is not None:
        words += f" By what earlier batches kept, expect {signed(promised * share)} of F1."
    return words


def _image(row: Mapping[str, Any], paths: Mapping[str, str]) -> Image:
    image_id = row["image_id"]
    return Image(
        f"Image to label, number {row['rank']}",
        lambda reader: reader.thumbnail(image_id, **_THUMBNAIL),
        (image_id,),
        lead=f"{row['rank']}.",
        caption=f" {row['reason']}",
        source=image_name(image_id, paths.get(image_id)),
    )


def _promises(
    kept: list[dict[str, Any]], correlation: float | None, share: float | None
) -> list[Block]:
    words = "There are too few batches to tell how well promises rank them."
    if correlation is not None:
        words = f"Rank correlation of promised and realised gain: {number(correlation)}."
    if share is not None:
        words += f" Of what was promised, {number(share)} came."
    table = Table(
        "Batches chosen by `iip label next`, the newest first",
        [
            "batch",
            Column("promised", "promised", NUMBER),
            estimate_column("change of F1, interval", "realised", show=signed),
            Column("training images", "training_images", COUNT),
            Column("validation images", "n_images", COUNT),
            Column("subjects", "n_subjects", COUNT),
        ],
        kept,
    )
    return [
        Heading("What earlier choices promised and brought"),
        Paragraph(_PROMISES),
        table,
        Paragraph(words, soft=True),
    ]
