"""Photographs that stand in two splits."""

from __future__ import annotations

import polars as pl

from iip_assets.embeddings.leaks import leak_words
from iip_assets.errors import counted
from iip_assets.report.blocks import Images, NextStep, Paragraph, Section
from iip_assets.report.gallery import paths, thumbnail
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
    path_of = paths(raw_dataset)
    images = [
        thumbnail(
            *((one, path_of.get(one)) for one in pair),
            size=(120, 90),
            caption=caption,
            alt="Two images that show one photograph",
        )
        for pair, caption in zip(pairs, words, strict=True)
    ]
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
