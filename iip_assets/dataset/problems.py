"""What is wrong with the data and how to fix it: nothing is dropped silently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_LONGEST_VALUE = 120

# Of the folder, `dvc add` would also take what is not checked out there out of the data.
_FIX_IMAGE = "replace the file by a sound copy or delete it, then run `dvc add` on it"
_FIX_MASK = "fix the mask as said, then run `dvc add` on it"
_THEN_ADD = " (then run `dvc add` on each file that you changed)"
_OF_FILE = ("batch", "file", "row", "column", "value", "reason", "fix")
_COLUMNS = ("what", "image_id", "path", "batch", "row", "column", "value", "reason", "fix")


@dataclass(frozen=True, order=True, slots=True)
class Problem:
    """One thing that was not used, why, and how to fix it."""

    batch: str | None  # the batch's folder name; None for files outside `batches/`
    file: str  # the file, relative to `data/` (or to the inbox batch)
    reason: str  # what is wrong
    fix: str  # what to do
    # Row of the file as a spreadsheet counts (the header is row 1), or entry of an export's list
    # (from 1 on); None when the file as a whole is meant.
    row: int | None = None
    column: str | None = None  # the column, if one is to blame
    value: str | None = None  # what stood there, shortened, control characters spelled out

    @property
    def words(self) -> str:
        """Where it is and what is wrong, in a line."""
        row = "" if self.row is None else f", row {self.row}"
        column = "" if self.column is None else f", {self.column}"
        return f"{self.file}{row}{column}: {self.reason}"


def printable(text: str) -> str:
    """The text with control characters spelled out, but for ends of lines.

    A terminal would obey them: erase what it shows, or write elsewhere.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one == "\n" else repr(one)[1:-1] for one in text)


def shown(value: str) -> str:
    """The value as it may be shown: shortened, with control characters spelled out."""
    text = printable(value).replace("\n", r"\n")
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 1] + "…"


def problem_frame(problems: Iterable[Problem]) -> pl.DataFrame:
    """The problems as a table (batch, file, row, column, value, reason, fix), sorted by these."""
    import polars as pl

    schema = {name: pl.Int64 if name == "row" else pl.Utf8 for name in _OF_FILE}
    rows = [[getattr(problem, name) for name in _OF_FILE] for problem in set(problems)]

    def order(row: Sequence[str | int | None]) -> list[str]:
        return [f"{one:020d}" if isinstance(one, int) else one or "" for one in row]

    return pl.DataFrame(sorted(rows, key=order), schema=schema, orient="row")


def quarantine_table(
    images: pl.DataFrame, problems: pl.DataFrame, fingerprints: pl.DataFrame
) -> pl.DataFrame:
    """One row for every image, mask and label row that is not used, in this order.

    Args:
        images: image_id, path, batch, mask_path of raw_dataset.
        problems: As `problem_frame` gives them.
        fingerprints: image_id, problem, mask_problem.

    Returns:
        Columns what (image, mask or label), image_id, path, batch, row, column, value, reason, fix.
    """
    import polars as pl

    checked = images.select("image_id", "path", "batch", "mask_path").join(
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
    bad_masks = checked.filter(pl.col("mask_problem").is_not_null()).select(
        pl.lit("mask").alias("what"),
        "image_id",
        pl.col("mask_path").alias("path"),
        "batch",
        *nothing,
        reason="mask_problem",
        fix=pl.lit(_FIX_MASK),
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
    """path, batch, image_id, reason and fix of every image that cannot be decoded, by path."""
    import polars as pl

    return (
        fingerprints.filter(pl.col("problem").is_not_null())
        .join(images.select("image_id", "path", "batch"), on="image_id")
        .select("path", "batch", "image_id", reason="problem", fix=pl.lit(_FIX_IMAGE))
        .sort("path", "image_id")
    )


def undecodable_share(fingerprints: pl.DataFrame) -> float:
    """Share of the images that cannot be decoded; 0 of no images."""
    count = fingerprints.height
    return (count - fingerprints["problem"].null_count()) / count if count else 0.0
