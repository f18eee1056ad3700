"""Which held-out images are explained, and the table of what is found: the hardest, and a sample.

Numbers about the hardest alone would say how these were chosen. The sample holds right and wrong
predictions in equal number as far as there are any, since most predictions are right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.engine.values import Files
from iip_assets.images.store import ImageStore
from iip_assets.inference.filter import FilterFromPixels
from iip_assets.inference.segmenter import Segmenter
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.tasks import FILTER, ModelTask
from iip_assets.settings import ExplanationSettings

if TYPE_CHECKING:
    from iip_assets.engine.features import Filled

RIGHT_IOU = 0.5
"""From this IoU on a class counts as found, as boxes do (Everingham et al. 2010, PASCAL VOC)."""

CHOSEN = {
    **dict.fromkeys(("image_id", "mask_id", "group_id", "label", "said"), pl.String()),
    **dict.fromkeys(("confidence", "iou"), pl.Float64()),
    "right": pl.Boolean(),
    "rank": pl.Int64(),
    "sampled": pl.Boolean(),
}
"""`rank` is 1 for the hardest and null for what is only sampled."""


EXPLAINED = {
    "model": pl.String(),
    **CHOSEN,
    **dict.fromkeys(("score", "share_on_eye", "chance_share"), pl.Float64()),
    **dict.fromkeys(("deletion_area", "chance_area"), pl.Float64()),
    **dict.fromkeys(("rows", "columns"), pl.Int64()),
    "attribution": pl.List(pl.Float32),
    **dict.fromkeys(("said_outline", "true_outline"), pl.String()),
}
"""The table of explained images: who was asked, what was chosen, what was found."""


def held_out(predictions: pl.DataFrame) -> pl.DataFrame:
    """Predictions on images that no model was trained on: the test split, or else validation."""
    for split in ("test", "validation"):
        rows = predictions.filter(pl.col("split") == split)
        if rows.height:
            return rows
    return predictions.clear()


def iou_column(predictions: pl.DataFrame) -> str | None:
    """The IoU to rank by: of the iris, or else of the last class that is not background."""
    names = [
        name
        for name in predictions.columns
        if name.startswith("iou_") and name != "iou_background" and predictions[name].count()
    ]
    return "iou_iris" if "iou_iris" in names else names[-1] if names else None


def answered_by_filter(predictions: pl.DataFrame) -> pl.DataFrame:
    """Held-out rows with a label and the filter's answer, its `confidence` and if it is `right`."""
    rows = held_out(predictions)
    if "predicted" not in rows.columns:
        return rows.clear().with_columns(
            confidence=pl.lit(None, pl.Float64), right=pl.lit(None, pl.Boolean)
        )
    return rows.filter(
        pl.col("label").is_in(FILTER_CLASSES) & pl.col("predicted").is_not_null()
    ).with_columns(
        confidence=pl.max_horizontal(f"prob_{name}" for name in FILTER_CLASSES),
        right=pl.col("predicted") == pl.col("label"),
    )


def surest_errors(predictions: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """Held-out rows whose label the filter contradicts, with `confidence`, the surest first."""
    wrong = answered_by_filter(predictions).filter(~pl.col("right"))
    return wrong.sort(["confidence", "image_id"], descending=[True, False]).head(most)


def lowest_iou(predictions: pl.DataFrame, *, most: int) -> pl.DataFrame:
    """Held-out rows with the lowest IoU of `iou_column`, the lowest first."""
    rows = held_out(predictions)
    column = iou_column(rows)
    if column is None:
        return rows.clear()
    return rows.drop_nulls(column).sort(column, "image_id").head(most)


def filter_images(
    predictions: pl.DataFrame, about: pl.DataFrame, options: ExplanationSettings
) -> pl.DataFrame:
    """The filter's surest errors, and a sample of its right and of its wrong words.

    Args:
        predictions: The asset's table.
        about: `image_id`, `mask_id`, `group_id` of all held-out images.
        options: How many errors, and how many right and wrong ones, of which those with a mask
            come first.
    """
    rows = answered_by_filter(predictions)
    if rows.is_empty():
        return pl.DataFrame(schema=CHOSEN)
    rows = rows.with_columns(said="predicted", iou=pl.lit(None, pl.Float64))
    return _chosen(rows, surest_errors(predictions, most=options.images), about, options)


def segmenter_images(
    predictions: pl.DataFrame, about: pl.DataFrame, options: ExplanationSettings
) -> pl.DataFrame:
    """The segmenter's lowest IoU, and a sample of what is right, from `RIGHT_IOU` on, and wrong.

    `said` is the class that is looked at. For the arguments see `filter_images`.
    """
    rows = held_out(predictions)
    column = iou_column(rows)
    if column is None:
        return pl.DataFrame(schema=CHOSEN)
    rows = rows.drop_nulls(column).with_columns(
        said=pl.lit(column.removeprefix("iou_")),
        confidence=pl.lit(None, pl.Float64),
        iou=pl.col(column),
        right=pl.col(column) >= RIGHT_IOU,
    )
    return _chosen(rows, lowest_iou(predictions, most=options.images), about, options)


def _chosen(
    rows: pl.DataFrame, worst: pl.DataFrame, about: pl.DataFrame, options: ExplanationSettings
) -> pl.DataFrame:
    ranks = worst.select("image_id", rank=pl.int_range(1, pl.len() + 1))
    rows = rows.join(about, on="image_id").join(ranks, on="image_id", how="left")
    # A salted hash, so that a new batch moves few of them; one image of each subject, then more,
    # as many subjects say more than many images.
    salted = [f"{options.seed}:{one}".encode() for one in rows["image_id"]]
    order = [hashlib.sha256(one).hexdigest() for one in salted]
    return (
        rows.with_columns(order=pl.Series(order, dtype=pl.String))
        .with_columns(nth=pl.col("order").rank("ordinal").over("right", "group_id"))
        .sort(pl.col("mask_id").is_null(), "nth", "order")
        .with_columns(sampled=pl.int_range(pl.len()).over("right") < options.sample)
        .filter(pl.col("sampled") | pl.col("rank").is_not_null())
        .select(pl.col(name).cast(dtype) for name, dtype in CHOSEN.items())
        .sort("image_id")
    )


def explained_table(
    task: ModelTask,
    model: Files,
    predictions: pl.DataFrame,
    about: pl.DataFrame,
    *,
    options: ExplanationSettings,
    classes: Sequence[str],
    store: ImageStore,
    fill: Callable[..., Filled],
    max_megapixels: float,
    threads: int,
    chunk: int,
) -> pl.DataFrame:
    """What a model predicted, explained, in the columns of `EXPLAINED`.

    Args:
        task: The model's.
        model: Its files.
        predictions: What it said of the held-out images.
        about: `image_id`, `mask_id`, `group_id` of them.
        options: How many images, and how finely.
        classes: Names of the mask's classes.
        store: Where the images are.
        fill: `AssetContext.fill`.
        max_megapixels: The largest image that is decoded.
        threads: On the processor.
        chunk: Images that a killed run may lose.
    """
    from iip_assets.audit.explained_rows import explain_filter_chunk, explain_segmenter_chunk

    choose = filter_images if task is FILTER else segmenter_images
    chosen = choose(predictions, about, options)
    if chosen.is_empty():
        return pl.DataFrame(schema=EXPLAINED)
    rows = chosen.select("image_id", "mask_id", "said")
    store.fetch([*rows["image_id"], *rows["mask_id"].drop_nulls()])
    given: dict[str, Any] = {"cells": options.cells, "seed": options.seed}
    compute: Callable[..., list[dict[str, Any]]] = explain_segmenter_chunk
    if task is FILTER:
        compute, given = explain_filter_chunk, given | {"classes": list(classes)}
        tools: dict[str, Any] = {"filter_model": FilterFromPixels(model.parts, threads=threads)}
    else:
        tools = {"segmenter": Segmenter(model.parts, threads=threads)}
    filled = fill(
        f"{task.name}_explanations",
        rows,
        compute,
        given={**given, "max_megapixels": max_megapixels},
        key={"model": model.digest},
        tools={"store": store, **tools},
        chunk=chunk,
    )
    return (
        chosen.join(filled.frame.drop("mask_id", "said"), on="image_id")
        .with_columns(model=pl.lit(task.name))
        .filter(pl.col("attribution").is_not_null())
        .select(pl.col(name).cast(dtype) for name, dtype in EXPLAINED.items())
        .sort("image_id")
    )
