"""The training set with its weights, as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from iip_assets.training_set.balance import balance_weights, describe_balance
from iip_assets.training_set.cells import target_mix, training_rows, with_cells


def rebalanced_table(
    images: pl.DataFrame,
    splits: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    axes: Sequence[str],
    max_weight: float,
    target: Mapping[str, Mapping[str, float]] | None = None,
    memory: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Weights of the training images.

    Columns, sorted by `image_id`:
    `label` (null where only a mask trains), `has_mask`, `cell` (null where not known);
    `remembered`: what the image counts for its age, 0 to 1; `weight`: by cell and age, mean 1
    over the rows that are remembered at all, 0 for others, which train nothing.

    Args:
        images: `image_id` and `label`.
        splits: `image_id`, `split`, `has_mask`.
        slices: `image_id`, `axis`, `slice`.
        axes: The axes whose intersections are the cells.
        max_weight: The largest weight of a cell's images; what age makes of it is not capped.
        target: Wanted shares by axis and value; cells weigh alike without it.
        memory: `image_id` and `remembered`, 0 to 1, from `memory.memory_table`; all count alike
            without it.
    """
    rows = with_cells(training_rows(images, splits), slices, axes)
    mix = None if target is None else target_mix(rows, axes, target)
    counts = np.ones(rows.height)
    if memory is not None:
        known = rows.join(memory, on="image_id", how="left", maintain_order="left")
        counts = known["remembered"].fill_null(1.0).to_numpy()
    kept = counts > 0
    weight = np.zeros(rows.height)
    by_cell = balance_weights(rows.filter(kept)["cell"].to_list(), max_weight=max_weight, mix=mix)
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


def cell_summary(table: pl.DataFrame) -> pl.DataFrame:
    """`cell` (null: not known), `n`, share of images before and of weight after; largest first."""
    total = max(table.height, 1)
    return (
        table.group_by("cell")
        .agg(pl.len().cast(pl.Int64).alias("n"), pl.col("weight").sum().alias("total_weight"))
        .with_columns(
            (pl.col("n") / total).alias("share_before"),
            (pl.col("total_weight") / total).alias("share_after"),
        )
        .drop("total_weight")
        .sort(["n", "cell"], descending=[True, False], nulls_last=True)
    )


def balance_rows(table: pl.DataFrame, *, max_weight: float) -> list[dict[str, str | int | float]]:
    """Images (the effective size without weights), effective size, largest weight, cap."""
    found = describe_balance(table["weight"].to_numpy(), max_weight=max_weight)
    return [
        {
            "images": found.n_images,
            "effective_images": round(found.n_effective, 1),
            "largest": round(found.largest, 3),
            "at_the_cap": found.n_capped,
        }
    ]
