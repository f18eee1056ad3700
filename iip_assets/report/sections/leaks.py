"""Photographs that stand in two splits."""

from __future__ import annotations

from typing import Any

import polars as pl

from iip_assets.embeddings.leaks import match_words
from iip_assets.errors import counted
from iip_assets.images.contact_sheet import image_name
from iip_assets.report.blocks import Block, Image, ImageReader, Images, NextStep, Paragraph, Section
from iip_assets.report.metrics import records

MOST_PAIRS = 12
_WIDTH, _HEIGHT = 120, 90
_TEXT = (
    "Each pair shows one photograph, or two of one moment, in two splits: what a model is tested "
    "on there, it has seen. The perceptual hash does not join them. Embeddings proposed them, and "
    "one lies on the other; a picture that was taken another time is not found."
)


def leaks(split_leaks: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]) -> Section | None:
    """The surest pairs, side by side; nothing where there is none."""
    if split_leaks.is_empty():
        return None
    path_of = dict(raw_dataset["images"].select("image_id", "path").iter_rows())
    rows = records(split_leaks)
    shown = [_pair(row, path_of) for row in rows[:MOST_PAIRS]]
    more = f" {len(rows) - MOST_PAIRS} more are not shown." if len(rows) > MOST_PAIRS else ""
    blocks: list[Block] = [Paragraph(_TEXT + more), Images(shown, "gallery wide")]
    step = NextStep(
        1,
        f"{counted(len(rows), 'pair')} of images across splits show one photograph",
        "`iip leaks --write inbox/NAME` makes a batch that gives both one subject; `iip ingest` "
        "takes it, and both stand on one side.",
    )
    return Section("leaks", "Leaks between splits", blocks, {"leaks": rows}, steps=[step])


def _pair(row: dict[str, Any], path_of: dict[str, str]) -> Image:
    ids = (row["image_id"], row["other_id"])

    def draw(reader: ImageReader) -> Any:
        import numpy as np

        return np.hstack([reader.thumbnail(one, width=_WIDTH, height=_HEIGHT) for one in ids])

    who = [row[name] or "unknown" for name in ("subject_id", "other_subject_id")]
    sides = f"{row['split']} (subject {who[0]}) and {row['other_split']} (subject {who[1]})"
    source = " and ".join(image_name(one, path_of.get(one)) for one in ids)
    alt = f"Two images that show one photograph, in {row['split']} and {row['other_split']}"
    return Image(alt, draw, ids, lead=sides, caption=f": {match_words(row)}", source=source)
