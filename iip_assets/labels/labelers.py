"""Which words on test images are those of several labelers, each given apart from the others."""

from __future__ import annotations

import polars as pl

from iip_assets.dataset.schema import ANNOTATIONS_FILE

WORDS = {
    "image_id": pl.String(),
    "group_id": pl.String(),
    "labeler": pl.String(),
    "label": pl.String(),
    "mask_id": pl.String(),
}


def words_of_labelers(label_rows: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """The words on test images of which two or more labelers gave a label, or drew a mask.

    A labeler's newest word counts, and only a named labeler's: a row without a name may hold what
    several agreed on. Of labels.csv the batch counts whose label (or mask) is in use; what a later
    batch corrected was looked at because it was wrong, so it says nothing of how well people label.

    Args:
        label_rows: The table of raw_dataset.
        splits: `image_id`, `group_id`, `split`.

    Returns:
        One row an image and labeler, sorted by both: image_id, group_id, labeler, label (null
        where fewer than two gave one), mask_id (likewise).
    """
    test = splits.filter(pl.col("split") == "test").select("image_id", "group_id")
    told = label_rows.join(test, on="image_id")
    keys = ["image_id", "group_id", "labeler"]
    labels, masks = (
        _standing(told, column).select(*keys, column) for column in ("label", "mask_id")
    )
    both = labels.join(masks, on=keys, how="full", coalesce=True)
    return both.select(pl.col(name).cast(dtype) for name, dtype in WORDS.items()).sort(
        "image_id", "labeler"
    )


def _standing(told: pl.DataFrame, column: str) -> pl.DataFrame:
    """The rows whose `column` is a labeler's present word, where there are several labelers."""
    said = told.filter(pl.col(column).is_not_null()).with_columns(
        apart=pl.col("file") == ANNOTATIONS_FILE
    )
    in_use = said.filter(~pl.col("apart")).group_by("image_id").agg(in_use=pl.col("batch").max())
    return (
        said.join(in_use, on="image_id", how="left")
        .filter(pl.col("labeler").is_not_null())
        .filter(pl.col("apart") | (pl.col("batch") == pl.col("in_use")))
        .sort(
            "image_id",
            "labeler",
            "apart",
            "batch",
            "labeled_at",
            descending=[False, False, False, True, True],
            nulls_last=True,
        )
        .unique(["image_id", "labeler"], keep="first", maintain_order=True)
        .filter(pl.len().over("image_id") > 1)
    )
