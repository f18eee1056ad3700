"""What the report says of the data: counts, coverage, light, groups, balance."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.report.metrics import rounded

if TYPE_CHECKING:
    from iip_assets.engine.values import Json

LABELS = ("full", "partial", "none", "unclear")
UNLABELLED = "no label"
NO_BATCH = "no batch"
MOST_QUARANTINE_ROWS = 30

Record = dict[str, Any]


def count_data(images: pl.DataFrame, splits: pl.DataFrame | None) -> dict[str, Json]:
    """Images, subjects, batches, labels, masks and splits, counted.

    Args:
        images: The table "images" of raw_dataset.
        splits: data_splits, if there are.
    """
    by_label = {label: int((images["label"] == label).sum()) for label in LABELS}
    by_label[UNLABELLED] = int(images["label"].null_count())
    by_split: dict[str, Json] = {}
    if splits is not None:
        for split in ("train", "validation", "test"):
            by_split[split] = int((splits["split"] == split).sum())
    return {
        "images": images.height,
        "subjects": images["subject_id"].drop_nulls().n_unique(),
        "batches": images["batch"].drop_nulls().n_unique(),
        "with_mask": int(images["mask_id"].is_not_null().sum()),
        "labels": dict(by_label),
        "splits": by_split,
    }


def batch_table(images: pl.DataFrame) -> list[Record]:
    """One record a batch, in their order: images, masks and the count of each label."""
    counts = (
        images.with_columns(pl.col("batch").fill_null(NO_BATCH))
        .group_by("batch")
        .agg(
            pl.len().alias("images"),
            pl.col("mask_id").is_not_null().sum().alias("masks"),
            *[(pl.col("label") == label).sum().alias(label) for label in LABELS],
            pl.col("label").is_null().sum().alias(UNLABELLED),
        )
        .sort("batch")
    )
    return counts.to_dicts()


def quarantine_content(quarantine: pl.DataFrame) -> dict[str, Any]:
    """How much could not be used, and the first cases with how to fix them."""
    shown = quarantine.sort(quarantine.columns, nulls_last=True).head(MOST_QUARANTINE_ROWS)
    columns = ["what", "path", "batch", "row", "column", "value", "reason", "fix"]
    return {
        "total": quarantine.height,
        "rows": shown.select([name for name in columns if name in shown.columns]).to_dicts(),
    }


def coverage_table(demographics: pl.DataFrame) -> list[Record]:
    """Values of single axes beside their target; values that have a target first within an axis."""
    single = demographics.filter(~pl.col("axis").str.contains("×", literal=True))
    return [
        {
            "axis": row["axis"],
            "value": row["value"],
            "n": row["n"],
            "n_subjects": row.get("n_subjects"),
            "share": rounded(row.get("known_share", row["share"])),
            "low": rounded(row.get("low")),
            "high": rounded(row.get("high")),
            "target": rounded(row["target"]),
            "gap": rounded(row["gap"]),
            "needed": row.get("needed"),
            "enough": row["enough"],
        }
        for row in single.iter_rows(named=True)
    ]


def word_table(table: pl.DataFrame, column: str) -> list[Record]:
    """Counts of a column's words, the most frequent first; null is `unknown`."""
    words = table[column].cast(pl.String).fill_null("unknown")
    counts = sorted(words.value_counts().rows(), key=lambda pair: (-pair[1], pair[0]))
    return [
        {"value": word, "n": n, "share": rounded(n / max(1, table.height))} for word, n in counts
    ]


def cluster_table(summary: pl.DataFrame) -> list[Record]:
    """Groups of the cluster summary, the smallest first, without the images that are in none."""
    found = summary.filter(pl.col("cluster") >= 0).sort(
        ["images", "cluster"], descending=[False, True]
    )
    return found.to_dicts()


def map_digest(embedding_map: pl.DataFrame) -> str:
    """A hash of the map's points, so that a moved map is another report."""
    rows = embedding_map.sort("image_id").select("image_id", "x", "y").rows()
    text = "\n".join(f"{image_id} {x:.3f} {y:.3f}" for image_id, x, y in rows)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def balance_content(training_set: pl.DataFrame) -> dict[str, Any]:
    """How far the weights level the cells: shares before and after, the effective sample size.

    The effective sample size is Kish's (1965): the square of the sum over the sum of squares.
    """
    weights = training_set["weight"].cast(pl.Float64)
    squares = float((weights * weights).sum())
    total = float(weights.sum())
    cells = (
        training_set.with_columns(pl.col("cell").cast(pl.String).fill_null("unknown"))
        .group_by("cell")
        .agg(pl.len().alias("n"), pl.col("weight").sum().alias("weight"))
        .sort(["n", "cell"], descending=[True, False])
    )
    rows = [
        {
            "cell": row["cell"],
            "n": row["n"],
            "share_before": rounded(row["n"] / training_set.height),
            "share_after": rounded(row["weight"] / total) if total else None,
        }
        for row in cells.iter_rows(named=True)
    ]
    return {
        "images": training_set.height,
        "effective": rounded(total * total / squares) if squares else None,
        "largest_weight": rounded(float(str(weights.max()))) if training_set.height else None,
        "cells": rows,
    }
