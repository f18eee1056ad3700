"""What is wrong with the data and how to fix it: nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_LONGEST_VALUE = 120

_MEND_IMAGE = "replace the file by a sound copy or delete it, then run `dvc add data`"
_MEND_MASK = "fix the mask as said, then run `dvc add data`"
_THEN_ADD = " (then run `dvc add data`)"
_COLUMNS = ("what", "image_id", "path", "batch", "row", "column", "value", "reason", "fix")


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One thing that was not used, why, and how to fix it.

    Attributes:
        batch: The batch's folder name; None for files outside `batches/`.
        file: The file, relative to `data/` (or to the inbox batch).
        row: Data row of the file, the first below the header is 1; None when the file as a whole is
            meant.
        column: The column, if one is to blame.
        value: What stood there, shortened, control characters spelled out.
        reason: What is wrong.
        fix: What to do.
    """

    batch: str | None
    file: str
    row: int | None
    column: str | None
    value: str | None
    reason: str
    fix: str


def shown(value: str) -> str:
    """The value as it may be shown: shortened, with control characters spelled out."""
    text = "".join(char if char.isprintable() else repr(char)[1:-1] for char in value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def problem_frame(problems: Iterable[Problem]) -> pl.DataFrame:
    """The problems as a table, sorted by batch, file, row and column.

    Returns:
        Columns batch, file, row (Int64), column, value, why, fix.
    """
    import polars as pl

    def order(problem: Problem) -> tuple[str, ...]:
        row = "" if problem.row is None else f"{problem.row:020d}"
        return (
            problem.batch or "",
            problem.file,
            row,
            problem.column or "",
            problem.value or "",
            problem.reason,
            problem.fix,
        )

    schema = {
        "batch": pl.Utf8,
        "file": pl.Utf8,
        "row": pl.Int64,
        "column": pl.Utf8,
        "value": pl.Utf8,
        "reason": pl.Utf8,
        "fix": pl.Utf8,
    }
    rows = [astuple(problem) for problem in sorted(set(problems), key=order)]
    return pl.DataFrame(rows, schema=schema, orient="row")


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
