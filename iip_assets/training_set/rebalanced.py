"""The training set as one table: the cell of each image, how far back training remembers, weights.

Where cameras and people drift, old images teach what no longer holds; where they do not, leaving
any out costs. Which it is, a drift report and two trainings tell (Gama et al., A Survey on Concept
Drift Adaptation, 2014, section 3.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.schema import TRAINING_LABELS, UNKNOWN
from iip_assets.errors import counted
from iip_assets.settings import TrainingSetSettings
from iip_assets.training_set.balance import balance_weights, shrunk_sizes


def reason_for_no_training(
    images: pl.DataFrame, splits: pl.DataFrame, *, has: pl.Expr, what: str
) -> str | None:
    """Why no image that has this is there to train on, or None where one is.

    Args:
        images: All images, with `image_id` and `label`.
        splits: `image_id`, `split`, `group_id` and `has_mask` of the decodable images.
        has: Whether one of these has what training needs.
        what: That in words, such as "a label".
    """
    if images.is_empty():
        return "there is no image in the data"
    usable = splits.join(images.select("image_id", "label"), on="image_id")
    if usable.is_empty():
        return f"none of the {counted(images.height, 'image')} can be decoded"
    having = usable.filter(has)
    if having.is_empty():
        return f"no {'' if usable.height == images.height else 'decodable '}image has {what}"
    training = having.filter(pl.col("label").ne_missing("unclear"))
    if training.is_empty():
        one = having.height == 1
        who = "the only image" if one else f"all {having.height:,} images"
        return f"{who} with {what} {'is' if one else 'are'} labelled unclear, which trains nothing"
    if (training["split"] == "train").any():
        return None
    if training.height < having.height:
        what += ", unclear ones apart,"
    groups, sides = training["group_id"].n_unique(), training["split"].unique().sort()
    who = f"the only image with {what}"
    if training.height > 1:
        images_of = f"{counted(training.height, 'image')} with {what}"
        who = f"all {images_of} are one group, which"
        if groups > 1:
            who = f"the {groups:,} groups of the {images_of}"
    return f"{who} fell to {' and '.join(sides)}; none is to train on"


def training_rows(images: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """The images of the train split that have a label that trains or a mask.

    `unclear` is a label of its own, which trains nothing: such an image stays out, mask or not.

    Args:
        images: `image_id` and `label`.
        splits: `image_id`, `split` and `has_mask` (a valid mask) of the decodable images.

    Returns:
        `image_id`, `label` (null where only a mask is there) and `has_mask`, sorted by `image_id`.
    """
    trains = pl.col("label").is_in(TRAINING_LABELS)
    return (
        splits.filter(pl.col("split") == "train")
        .join(images.select("image_id", "label"), on="image_id", how="inner")
        .filter(trains | (pl.col("label").is_null() & pl.col("has_mask")))
        .select("image_id", "label", "has_mask")
        .sort("image_id")
    )


def with_cells(rows: pl.DataFrame, slices: pl.DataFrame, axes: Sequence[str]) -> pl.DataFrame:
    """The rows with a column per axis and `cell`, null where a part of it is not known.

    An axis of which nothing is known in these rows is left out, so that data without ages can still
    be balanced by gender. Without any axis every cell is null.

    Args:
        rows: Images, by `image_id`.
        slices: `image_id`, `axis`, `slice`; a missing row counts as unknown.
        axes: The axes whose intersections are the cells.
    """
    known_axes: list[str] = []
    for axis in axes:
        one = slices.filter((pl.col("axis") == axis) & (pl.col("slice") != UNKNOWN))
        rows = rows.join(
            one.select("image_id", pl.col("slice").alias(axis)),
            on="image_id",
            how="left",
            maintain_order="left",
        )
        if rows[axis].is_not_null().any():
            known_axes.append(axis)
    if not known_axes:
        return rows.with_columns(pl.lit(None, dtype=pl.String).alias("cell"))
    return rows.with_columns(pl.concat_str(*known_axes, separator=" × ").alias("cell"))


def target_mix(
    rows: pl.DataFrame, axes: Sequence[str], target: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """The wanted share of every cell that is there, from a target for each axis alone.

    The shares of a cell's parts are multiplied, which takes the axes as independent. An axis
    without a target keeps the shares that it has; a value without a share in its axis's target has
    what the others leave, divided evenly.

    Args:
        rows: What `with_cells` gives.
        axes: The axes of the cells.
        target: Axis to value to share.

    Returns:
        Cell to share, above 0 and summing to 1. A target of 0 counts as one in a thousand: an image
        that is not wanted at all belongs out of the batches, not here at weight 0.
    """
    known = rows.filter(pl.col("cell").is_not_null())
    if known.is_empty():
        return {}
    axes = [axis for axis in axes if known[axis].is_not_null().any()]
    shares = {axis: _axis_shares(known[axis], target.get(axis, {})) for axis in axes}
    mix: dict[str, float] = {}
    for record in known.select("cell", *axes).unique().sort("cell").iter_rows(named=True):
        share = 1.0
        for axis in axes:
            share *= shares[axis][record[axis]]
        mix[record["cell"]] = share
    total = sum(mix.values())
    return {cell: share / total for cell, share in mix.items()}


def _axis_shares(values: pl.Series, target: Mapping[str, float]) -> dict[str, float]:
    counts = dict(values.value_counts().sort(values.name).iter_rows())
    if not target:
        return {value: n / len(values) for value, n in counts.items()}
    unnamed = [value for value in counts if value not in target]
    left = max(0.0, 1 - sum(target.values())) / len(unnamed) if unnamed else 0.0
    return {value: max(target.get(value, left), 0.001) for value in counts}


def ages_days(images: pl.DataFrame) -> pl.Series:
    """How many days before the newest image each was taken; null where that is not known.

    An image without a date, `captured_at`, is as old as the newest one of its batch.
    """
    taken = pl.col("captured_at")
    known = images.select(taken.fill_null(taken.max().over("batch")).alias("taken"))["taken"]
    newest = known.max()
    if newest is None:
        return pl.Series([None] * images.height, dtype=pl.Float64)
    return images.select(((pl.lit(newest) - known).dt.total_seconds() / 86_400).alias("age_days"))[
        "age_days"
    ]


def remembered(ages: pl.Series, settings: TrainingSetSettings) -> NDArray[np.float64]:
    """What each image counts for its age, 0 to 1; one of unknown age counts whole.

    The memory is `all`, `newer` (half as much after every half life) or `window` (nothing beyond
    it).
    """
    days = ages.fill_null(0.0).to_numpy().astype(np.float64)
    if settings.memory == "newer":
        return np.asarray(0.5 ** (days / settings.half_life_days))
    if settings.memory == "window":
        return (days <= settings.window_days).astype(np.float64)
    return np.ones(len(days))


def rebalanced_table(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    slices: pl.DataFrame,
    settings: TrainingSetSettings,
    target: Mapping[str, Mapping[str, float]],
) -> pl.DataFrame:
    """Weights of the training images.

    Columns, sorted by `image_id`:
    `label` (null where only a mask trains), `has_mask`, `cell` (null where not known);
    `remembered`: what the image counts for its age, 0 to 1; `weight`: by cell and age, mean 1
    over the rows that are remembered at all, 0 for others, which train nothing.

    Args:
        images: `image_id`, `label`, `captured_at` and `batch`.
        splits: `image_id`, `split`, `has_mask`.
        slices: `image_id`, `axis`, `slice`, of the axes whose intersections are the cells.
        settings: How far balance may go. What age makes of a weight is not capped.
        target: Wanted shares by axis and value, where the settings ask for them.
    """
    rows = with_cells(training_rows(images, splits), slices, settings.axes)
    mix = target_mix(rows, settings.axes, target) if settings.toward == "target" else None
    memory = images.select(
        "image_id", pl.Series("remembered", remembered(ages_days(images), settings), pl.Float64)
    )
    counts = rows.join(memory, on="image_id", how="left", maintain_order="left")[
        "remembered"
    ].to_numpy()
    kept = counts > 0
    weight = np.zeros(rows.height)
    cells = rows.filter(kept)["cell"].to_list()
    sizes = None
    if settings.shrinkage:
        counted = Counter(cell for cell in cells if cell is not None)
        alone = target_mix(rows.filter(kept), settings.axes, {})
        sizes = shrunk_sizes(counted, alone, settings.shrinkage)
    by_cell = balance_weights(cells, max_weight=settings.max_weight, mix=mix, sizes=sizes)
    aged = by_cell * counts[kept]
    weight[kept] = aged / aged.mean() if len(aged) else aged
    return rows.select(
        "image_id",
        "label",
        "has_mask",
        "cell",
        pl.Series("remembered", counts, dtype=pl.Float64),
        pl.Series("weight", weight, dtype=pl.Float64),
    )
