"""Photographs that stand in two splits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from iip_assets.embeddings.leaks import leak_words
from iip_assets.errors import counted
from iip_assets.images.contact_sheet import image_name
from iip_assets.report.blocks import Image, ImageReader, Images, NextStep, Paragraph, Section
from iip_assets.report.metrics import records

MOST_PAIRS = 12
_TEXT = (
    "Each pair shows one photograph, or two of one moment, in two splits: what a model is tested "
    "on there, it has seen. The perceptual hash does not join them. Embeddings proposed them, and "
    "one lies on the other; a picture that was taken another time is not found."
)


def leaks(split_leaks: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]) -> Section | None:
    """The surest pairs, side by side; nothing where there is none."""
    if split_leaks.is_empty():
        return None
    shown = split_leaks.head(MOST_PAIRS)
    pairs = shown.select("image_id", "other_id").rows()
    words = leak_words(shown, raw_dataset["images"])
    path_of = dict(raw_dataset["images"].select("image_id", "path").iter_rows())
    images = [_pair(*one, path_of) for one in zip(pairs, words, strict=True)]
    number = counted(split_leaks.height, "pair")
    step = NextStep(
        1,
        f"{number} of images across splits show one photograph",
        "`iip leaks --write inbox/NAME` makes a batch that gives both one subject; `iip ingest` "
        "takes it, and both stand on one side.",
    )
    blocks = (
        Paragraph(f"{number}, of which the surest {shown.height} are shown. {_TEXT}"),
        Images(images, "gallery wide"),
    )
    data = {"leaks": records(split_leaks)}
    return Section("leaks", "Leaks between splits", blocks, data, steps=[step])


def _pair(ids: tuple[str, str], words: str, path_of: Mapping[str, str]) -> Image:
    def draw(reader: ImageReader) -> Any:
        import numpy as np

        return np.hstack([reader.thumbnail(one, width=120, height=90) for one in ids])

    source = ", ".join(image_name(one, path_of.get(one)) for one in ids)
    return Image("Two images that show one photograph", draw, ids, caption=words, source=source)
