"""The training_set room as Dagster sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from iip_assets.engine.asset import asset, describe
from iip_assets.engine.values import MetadataValue, Rows, Setting, Skipped
from iip_assets.settings import (
    AgeBands,
    FilterRemedy,
    Guarantee,
    SegmenterRemedy,
    TrainingSetSettings,
)

if TYPE_CHECKING:
    import polars as pl


@asset(room="training_set", kinds={"polars"})
def rebalanced_training_set(
    raw_dataset: dict[str, pl.DataFrame],
    data_splits: pl.DataFrame,
    *,
    balance: Annotated[TrainingSetSettings, Setting("training_set")],
    age_bands: AgeBands,
    target: Annotated[dict[str, dict[str, float]], Setting("coverage.target")],
) -> pl.DataFrame | Skipped:
    """What the models learn from: the train split, weighted so that rare cells count."""
    import polars as pl

    from iip_assets.dataset.slices import slice_table
    from iip_assets.training_set.rebalanced import reason_for_no_training, rebalanced_table

    images = raw_dataset["images"]
    table = rebalanced_table(
        images,
        data_splits,
        slice_table(images, age_bands=age_bands, axes=balance.axes),
        balance,
        target,
    )
    reason = reason_for_no_training(
        images,
        data_splits,
        has=pl.col("label").is_not_null() | pl.col("has_mask"),
        what="a label or a valid mask",
    )
    return table if reason is None else Skipped(reason)


@describe(rebalanced_training_set)
def describe_rebalanced_training_set(
    rebalanced_training_set: pl.DataFrame,
    *,
    max_weight: Annotated[float, Setting("training_set.max_weight")],
) -> dict[str, MetadataValue]:
    """What weighting does to each cell, and how many images the training set is worth."""
    from iip_assets.figures import figure_markdown
    from iip_assets.training_set.figures import balance_rows, cell_summary, cells_figure

    table = rebalanced_training_set
    summary = cell_summary(table)
    return {
        "rows": table.height,
        "forgotten": table.filter(table["remembered"] == 0).height,
        "cells": summary.drop_nulls("cell").height,
        "effective_sample_size": Rows(balance_rows(table, max_weight=max_weight)),
        "plot": figure_markdown(
            cells_figure(summary), "Share of each cell before and after weighting"
        ),
    }


@asset(room="training_set", kinds={"polars"})
def protected_subsets(
    image_slices: pl.DataFrame,
    *,
    filter_remedy: FilterRemedy,
    segmenter_remedy: SegmenterRemedy,
    guarantee: Guarantee,
) -> pl.DataFrame:
    """Who belongs to the subsets that a promise or a remedy names, on the whole of their axes.

    While this table stands, no other slice trains a model again or moves a threshold.
    """
    from iip_assets.training_set.subsets import named_axes, subsets_table

    return subsets_table(image_slices, named_axes((filter_remedy, segmenter_remedy), guarantee))


@describe(protected_subsets)
def describe_protected_subsets(protected_subsets: pl.DataFrame) -> dict[str, MetadataValue]:
    """How many images each subset has."""
    sizes = protected_subsets.group_by("axis", "slice").len("images").sort("axis", "slice")
    return {"rows": protected_subsets.height, "subsets": Rows(sizes.to_dicts())}
