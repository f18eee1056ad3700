"""All of the data that is not used, with why and how to fix it: nothing is dropped silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_MEND_IMAGE = "replace the file by a sound copy or delete it, then run `dvc add data`"
_MEND_MASK = "fix the mask as said, then run `dvc add data`"
_THEN_ADD = " (then run `dvc add data`)"
_COLUMNS = ("what", "image_id", "path", "batch", "row", "column", "value", "reason", "fix")


def quarantine_table(
    images: pl.DataFrame, problems: pl.DataFrame, fingerprints: pl.DataFrame
) -> pl.DataFrame:
    """One row for every image, mask and label row that is not used.

    Args:
        images: image_id, path, batch, mask_path of raw_dataset.
        problems: batch, file, row, column, value, why, fix of raw_dataset.
        fingerprints: image_id, problem, mask_problem.

    Returns:
        Columns what (image, mask or label), image_id, path, batch, row, column, value, why, fix;
        images first, then masks, then label rows.
    """
    import polars as pl

    told = images.select("image_id", "path", "batch", "mask_path").join(
        fingerprints.select("image_id", "mask_problem"), on="image_id"
    )
    nothing = [
        pl.lit(None, dtype=pl.Int64).alias("row"),
        pl.lit(None, dtype=pl.Utf8).alias("column"),
        pl.lit(None, dtype=pl.Utf8).alias("value"),
    ]
    bad_images = undecodable_images(images, fingerprints).select(
        pl.lit("image").alias("what"), "image_id", "path", "batch", *nothing, "reason", "fix"
    )
    bad_masks = told.filter(pl.col("mask_problem").is_not_null()).select(
        pl.lit("mask").alias("what"),
        "image_id",
        pl.col("mask_path").alias("path"),
        "batch",
        *nothing,
        reason="mask_problem",
        fix=pl.lit(_MEND_MASK),
    )
    bad_labels = problems.select(
        pl.lit("label").alias("what"),
        pl.lit(None, dtype=pl.Utf8).alias("image_id"),
        pl.col("file").alias("path"),
        *_COLUMNS[3:-1],
        pl.col("fix") + _THEN_ADD,
    )
    return pl.concat([bad_images, bad_masks.sort("path", "image_id"), bad_labels]).select(_COLUMNS)


def undecodable_images(images: pl.DataFrame, fingerprints: pl.DataFrame) -> pl.DataFrame:
    """One row for every image that cannot be decoded.

    Args:
        images: image_id, path, batch of raw_dataset.
        fingerprints: image_id, problem.

    Returns:
        Columns path, batch, image_id, why, fix; sorted by path.
    """
    import polars as pl

    return (
        fingerprints.filter(pl.col("problem").is_not_null())
        .join(images.select("image_id", "path", "batch"), on="image_id")
        .select("path", "batch", "image_id", reason="problem", fix=pl.lit(_MEND_IMAGE))
        .sort("path", "image_id")
    )


def undecodable_share(fingerprints: pl.DataFrame) -> float:
    """Share of the images that cannot be decoded; 0 of no images."""
    count = fingerprints.height
    return (count - fingerprints["problem"].null_count()) / count if count else 0.0
