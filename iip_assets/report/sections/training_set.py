"""What the models learn from: how weights level the training set, how its images are changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.report.blocks import (
    Block,
    ImageReader,
    Paragraph,
    Picture,
    Pictures,
    Section,
    count,
    number,
    plot,
)
from iip_assets.report.metrics import rounded
from iip_assets.training_set.figures import cell_summary, cells_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def balance(rebalanced_training_set: pl.DataFrame) -> Section | None:
    """Shares of the cells before and after weighting."""
    if rebalanced_training_set.is_empty():
        return None
    found = balance_content(rebalanced_training_set)
    text = (
        f"With their weights, {count(found['images'])} training images say as much as "
        f"{count(found['effective'])} equal ones; the largest weight is "
        f"{number(found['largest_weight'])}."
    )
    drawn = plot(
        lambda: cells_figure(cell_summary(rebalanced_training_set)),
        "Share of each cell before and after weighting",
    )
    blocks: list[Block] = [Paragraph(text), drawn]
    return Section("balance", "Training set balance", blocks, {"balance": found})


def balance_content(training_set: pl.DataFrame) -> dict[str, Any]:
    """How far the weights level the cells: shares before and after, the effective sample size.

    The effective sample size is Kish's (1965): the square of the sum over the sum of squares.
    """
    weights = training_set["weight"].cast(pl.Float64)
    squares = float((weights * weights).sum())
    total = float(weights.sum())
    cells = (
        training_set.with_columns(pl.col("cell").cast(pl.String).fill_null("unknown"))
        .group_by("cell")
        .agg(pl.len().alias("n"), pl.col("weight").sum().alias("weight"))
        .sort(["n", "cell"], descending=[True, False])
    )
    rows = [
        {
            "cell": row["cell"],
            "n": row["n"],
            "share_before": rounded(row["n"] / training_set.height),
            "share_after": rounded(row["weight"] / total) if total else None,
        }
        for row in cells.iter_rows(named=True)
    ]
    return {
        "images": training_set.height,
        "effective": rounded(total * total / squares) if squares else None,
        "largest_weight": rounded(float(str(weights.max()))) if training_set.height else None,
        "cells": rows,
    }


def augmentation(segmenter_examples: pl.DataFrame) -> Section:
    """A training image and each way of changing it: one that counts most, by its id."""
    training = segmenter_examples.filter(pl.col("split") == "train")
    if training.is_empty():
        return Section("training", "Training", data={"augmented": None})
    first = training.sort(["weight", "image_id"], descending=[True, False]).row(0, named=True)
    shown = {name: first[name] for name in ("image_id", "mask_id")}

    def draw(reader: ImageReader) -> Figure:
        from iip_assets.models.figures import augmentation_figure

        image = reader.image(shown["image_id"])
        mask = reader.mask(shown["mask_id"], height=image.shape[0], width=image.shape[1])
        return augmentation_figure(image, mask, seed=0)

    text = (
        "The segmenter sees each training image changed in ways in which images of one eye "
        "differ. In brackets: in how many of the images. White lines are the mask's borders, "
        "which move with the image."
    )
    alt = "A training image and each way of changing it"
    picture = Picture(alt, draw, tuple(shown.values()))
    blocks: list[Block] = [Paragraph(text), Pictures([picture])]
    return Section("training", "Training", blocks, {"augmented": shown})
