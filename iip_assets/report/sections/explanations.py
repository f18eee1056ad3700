"""Where the models looked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.audit.explained_measures import APART, RIGHT, WRONG
from iip_assets.audit.figures import SCORES, explained_caption, hardest_of
from iip_assets.report.blocks import (
    NAME,
    Block,
    Column,
    Heading,
    ImageReader,
    NextStep,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Table,
    interval,
    plot,
    short_number,
)
from iip_assets.report.metrics import rounded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Record = dict[str, Any]

# Of what a tile is drawn from.
_DRAWN = ("rows", "columns", "attribution", "said_outline", "true_outline")

_HARDEST = (
    "The hardest images, and beside each which parts counted: parts were hidden one after another, "
    "and a part counts what the model's word loses by it. White lines are what is true: for the "
    "filter the eye, for the segmenter the class. Orange lines are where the segmenter saw the "
    "class. Colours are on each image's own scale."
)
_MEASURES = (
    "Over a sample of right and of wrong predictions: the share of what counted that lies on the "
    "eye, beside the eye's share of the image, which is what chance has there. The deletion gain "
    "says whether this is true of the model: how much smaller the area under its curve is while "
    "the parts that counted most are hidden first than while parts are hidden by chance. At 0 the "
    "images above mean nothing."
)


def explanations(
    raw_dataset: dict[str, pl.DataFrame], model_explanations: dict[str, pl.DataFrame]
) -> Section | None:
    """The hardest images of each model with what counted, and the measures of the samples."""
    if model_explanations["explained"].is_empty():
        return None
    found = explanation_content(model_explanations, raw_dataset["images"])
    blocks: list[Block] = [Paragraph(_HARDEST)]
    for model, rows in found["images"].items():
        blocks += _model_blocks(model, rows)
    caption = "Where the models look, over samples of held-out images"
    blocks += [
        Heading("Does it look at the eye, and is that so"),
        Paragraph(_MEASURES),
        Table(
            caption,
            [
                "model",
                "predictions",
                Column("mean", "metric", NAME),
                "value",
                "n_images",
                "n_subjects",
                "enough",
            ],
            found["measures"],
        ),
    ]
    return Section(
        "explanations",
        "Where the models looked",
        blocks,
        {"explanations": found},
        steps=_looks_elsewhere(found["measures"]),
    )


def explanation_content(tables: Mapping[str, pl.DataFrame], images: pl.DataFrame) -> Record:
    """By model the hardest images with what counted; the measures of the samples.

    Args:
        tables: The value of model_explanations.
        images: The table "images" of raw_dataset.
    """
    facts = images.select("image_id", "path", "batch")
    shown = {}
    for model in SCORES:
        rows = hardest_of(tables["explained"], model)
        rows = rows.join(facts, on="image_id", how="left", maintain_order="left")
        if rows.height:
            shown[model] = [_image(row) for row in rows.iter_rows(named=True)]
    measures = [
        row | {name: rounded(row[name]) for name in ("value", "low", "high")}
        for row in tables["measures"].to_dicts()
    ]
    return {"images": shown, "measures": measures}


def _image(row: Mapping[str, Any]) -> Record:
    attribution = [rounded(value) for value in row["attribution"]]
    drawn = {name: row[name] for name in _DRAWN} | {"attribution": attribution}
    about = {name: row[name] for name in ("image_id", "path", "batch")}
    return {**about, **drawn, "caption": explained_caption(row)}


def _model_blocks(model: str, rows: list[Record]) -> list[Block]:
    from iip_assets.audit.figures import legend_figure

    alt = f"Blue, grey and yellow: {SCORES[model]} rises or falls"
    return [
        Heading(model.capitalize()),
        plot(lambda: legend_figure(SCORES[model]), alt),
        Pictures([_tile(row) for row in rows], "gallery wide"),
    ]


def _tile(row: Record) -> Picture:
    """An image beside what counted in it."""

    def draw(reader: ImageReader) -> NDArray[np.uint8]:
        from iip_assets.audit.figures import explained_tile

        return explained_tile(reader.image(row["image_id"]), row)

    alt = f"Image {row['path'] or row['image_id']}, and beside it which parts counted"
    caption = f"{row['caption']}; {row['batch'] or 'no batch'}"
    return Picture(alt, draw, (row["image_id"],), caption=caption)


def _looks_elsewhere(rows: list[Record]) -> list[NextStep]:
    """Models that look at the eye less where they are wrong than where they are right."""
    # Beyond chance: where the eye is small, little lies on it anyway.
    gains = [row for row in rows if row["metric"] == "share_gain" and row["enough"]]
    found = []
    for row in gains:
        if row["predictions"] != APART or row["low"] is None or row["low"] <= 0:
            continue
        mean = {one["predictions"]: one["value"] for one in gains if one["model"] == row["model"]}
        ends = interval(row["low"], row["high"], short_number)
        found.append(
            NextStep(
                3,
                f"Where the {row['model']} is wrong, it looks less at the eye",
                f"The share of what counted that lies on the eye is {mean[RIGHT]:.2f} above chance "
                f"where it is right, {mean[WRONG]:.2f} where it is wrong (difference {ends}, "
                f"n = {row['n_images']} each at least). See what it looked at instead, and whether "
                "the labels are right.",
            )
        )
    return found
