"""What a table of images must look like: columns, types, and a Pandera schema of their values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iip_assets.dataset.constants import EYES, LABELS
from iip_assets.dataset.validation import OLDEST_YEARS

if TYPE_CHECKING:
    import polars as pl

_MD5 = r"^[0-9a-f]{32}$"


def images_schema() -> dict[str, Any]:
    """Columns and types of the table of images."""
    import polars as pl

    return {
        "image_id": pl.Utf8,
        "path": pl.Utf8,
        "batch": pl.Utf8,
        "label": pl.Utf8,
        "mask_id": pl.Utf8,
        "mask_path": pl.Utf8,
        "subject_id": pl.Utf8,
        "eye": pl.Utf8,
        "age_years": pl.Float64,
        "gender": pl.Utf8,
        "ethnicity": pl.Utf8,
        "geography": pl.Utf8,
        "device": pl.Utf8,
        "captured_at": pl.Datetime("us"),
        "labeler": pl.Utf8,
        "tags": pl.Utf8,
    }


def label_rows_schema() -> dict[str, Any]:
    """Columns and types of the table of label rows."""
    import polars as pl

    return {
        "image_id": pl.Utf8,
        "batch": pl.Utf8,
        "labeler": pl.Utf8,
        "label": pl.Utf8,
        "mask_id": pl.Utf8,
        "subject_id": pl.Utf8,
        "labeling_md5": pl.Utf8,
        "file": pl.Utf8,
        "labeled_at": pl.Datetime("us"),
        "current": pl.Boolean,
    }


def schema_failures(images: pl.DataFrame) -> list[str]:
    """What in a table of images breaks its schema, in words; empty when nothing does.

    Ids are md5s and stand once, in order; labels and eyes are known words, ages are 0 to 120; a
    mask's id and path come together.
    """
    import pandera.polars as pa
    import polars as pl

    checks: dict[str, list[Any]] = {
        "image_id": [pa.Check.str_matches(_MD5)],
        "mask_id": [pa.Check.str_matches(_MD5)],
        "label": [pa.Check.isin(LABELS)],
        "eye": [pa.Check.isin(EYES)],
        "age_years": [pa.Check.in_range(0, OLDEST_YEARS)],
    }
    schema = pa.DataFrameSchema(
        {
            name: pa.Column(
                dtype,
                checks=checks.get(name),
                nullable=name not in ("image_id", "path"),
                unique=name == "image_id",
            )
            for name, dtype in images_schema().items()
        },
        strict=True,
        ordered=True,
    )
    failures: list[str] = []
    try:
        schema.validate(images, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        counted = cases.group_by("column", "check", maintain_order=True).agg(
            pl.len().alias("n"), pl.col("failure_case").first()
        )
        failures += [
            f"{case['column']}: {case['check']} fails {case['n']} times (first: "
            f"{case['failure_case']})"
            for case in counted.iter_rows(named=True)
        ]
    if {"mask_id", "mask_path"} <= set(images.columns):
        halves = images.filter(pl.col("mask_id").is_null() != pl.col("mask_path").is_null()).height
        if halves:
            failures.append(f"mask_id: {halves} rows have only one of mask_id and mask_path")
    if "image_id" in images.columns and not images["image_id"].is_sorted():
        failures.append("image_id: not sorted")
    return failures
