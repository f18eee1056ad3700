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
_PROMISES = (
    "A batch promises the part of the filter's expected macro error on the pool that lies near its "
    "images, the most that it can gain. What came is the change of F1 macro on the validation "
    "images by training with the batch, beside what was labelled before it. "
)


def next_labels(
    raw_dataset: dict[str, pl.DataFrame],
    labeling_priorities: dict[str, pl.DataFrame] | None = None,
    kept_promises: pl.DataFrame | None = None,
) -> Section | None:
    """The images to label next with the reasons, and the promises of earlier batches."""
    blocks: list[Block] = []
    data: dict[str, Any] = {}
    steps: list[NextStep] = []
    share = None if kept_promises is None else share_kept(kept_promises)
    if labeling_priorities is not None and not labeling_priorities["chosen"].is_empty():
        (pool,) = records(labeling_priorities["pool"])
        columns = ("rank", "image_id", "gain", "promised_gain", "reason")
        rows = records(labeling_priorities["chosen"].select(columns))
        paths = dict(raw_dataset["images"].select("image_id", "path").iter_rows())
        promised = sum(row["promised_gain"] for row in rows)
        words = _about(pool, promised, share)
        command = f"iip label next --n {len(rows)} --format labelstudio --out FOLDER"
        blocks += [
            Paragraph(f"{words} For a labeling tool: `{command}`."),
            Images([_image(row, paths) for row in rows[:MOST]], "gallery"),
        ]
        data["next_labels"] = {"pool": pool, "promised": round(promised, 4), "chosen": rows}
        steps.append(NextStep(5, f"Label {counted(len(rows), 'image')} next", words))
    if kept_promises is not None and not kept_promises.is_empty():
        data["kept_promises"] = kept = records(kept_promises)
        shown: list[str | Column] = [
            "batch",
            Column("promised", "promised", NUMBER),
            estimate_column("change of F1, interval", "realised", show=signed),
            Column("training images", "training_images", COUNT),
            "n_subjects",
        ]
        rank = rank_correlation(kept_promises)
        told = "too few batches to tell" if rank is None else number(rank)
        blocks += [
            Heading("What earlier choices promised and brought"),
            Paragraph(f"{_PROMISES}Rank correlation of both: {told}."),
            Table("Batches of `iip label next`, the newest first", shown, kept),
        ]
    return Section("labels", "What to label next", blocks, data, steps=steps) if blocks else None


def _about(pool: Mapping[str, Any], promised: float, share: float | None) -> str:
    words = (
        f"{count(pool['unlabelled'])} images have no label; {count(pool['held_out'])} of them are "
        f"held out and not chosen by gain. The expected macro error on the pool is "
        f"{number(pool['expected_error'])}; the images chosen promise {number(promised)} of it."
    )
    if share is not None:
        words += f" By what earlier batches kept, expect {signed(promised * share)} of F1."
    return words


def _image(row: Mapping[str, Any], paths: Mapping[str, str]) -> Image:
    image_id = row["image_id"]
    return Image(
        f"Image to label, number {row['rank']}",
        lambda reader: reader.thumbnail(image_id, width=160, height=120),
        (image_id,),
        lead=f"{row['rank']}.",
        caption=f" {row['reason']}",
        source=image_name(image_id, paths.get(image_id)),
    )
