"""Which cell of the chosen axes each training image falls into, and the wanted mix of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from iip_assets.dataset.schema import UNKNOWN

TRAINING_LABELS = ("full", "partial", "none")


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
