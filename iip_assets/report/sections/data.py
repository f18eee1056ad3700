"""The data as they are, what remains to be labelled, and what could not be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.report.blocks import (
    COUNT,
    Block,
    Column,
    NextStep,
    Number,
    Paragraph,
    Section,
    Table,
    count,
)

if TYPE_CHECKING:
    from iip_assets.engine.values import Json

LABELS = ("full", "partial", "none", "unclear")
UNLABELLED = "no label"
NO_BATCH = "no batch"
MOST_QUARANTINE_ROWS = 30
QUARANTINE_COLUMNS = ("what", "path", "batch", "row", "column", "value", "reason", "fix")


def dataset(
    raw_dataset: dict[str, pl.DataFrame], data_splits: pl.DataFrame | None = None
) -> Section:
    """The data as they are."""
    images = raw_dataset["images"]
    counts, batches = count_data(images, data_splits), batch_table(images)
    names = ("images", "masks", *LABELS, UNLABELLED)
    table = Table(
        "Images by batch and label; the newest label of an image counts",
        ["batch", *(Column(name, name, COUNT) for name in names)],
        batches,
    )
    data = {"counts": counts, "batches": batches}
    return Section("dataset", "Dataset", [table], data, steps=_steps(counts))


def count_data(images: pl.DataFrame, splits: pl.DataFrame | None) -> dict[str, Any]:
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


def batch_table(images: pl.DataFrame) -> list[dict[str, Any]]:
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


def _steps(counts: dict[str, Any]) -> list[NextStep]:
    steps = []
    if unclear := counts["labels"]["unclear"]:
        text = f"{unclear} images are labelled unclear; none of them trains a model."
        steps.append(NextStep(7, "Labels to discuss", text))
    if unlabelled := counts["labels"][UNLABELLED]:
        text = f"{unlabelled} of {counts['images']} images have none."
        steps.append(NextStep(7, "Images without a label", text))
    return steps


def quarantine(quarantine: pl.DataFrame) -> Section:
    """How much could not be used, and the first cases."""
    total = quarantine.height
    ordered = quarantine.sort(quarantine.columns, nulls_last=True).head(MOST_QUARANTINE_ROWS)
    rows = ordered.select(
        [name for name in QUARANTINE_COLUMNS if name in ordered.columns]
    ).to_dicts()
    blocks: list[Block] = [Paragraph("Everything could be used.")]
    if total:
        more = f" The first {len(rows)} are shown." if total > len(rows) else ""
        blocks = [
            Paragraph(f"Entries that could not be used: {count(total)}.{more}"),
            Table(
                "What could not be used, why, and how to fix it",
                [Column(name, name) for name in QUARANTINE_COLUMNS],
                rows,
            ),
        ]
    text = f"In quarantine: {total}, each with how to fix it."
    steps = [NextStep(8, "Files and rows that could not be used", text)] if total else []
    note = "images, masks and rows that could not be used"
    return Section(
        "quarantine",
        "Quarantine",
        blocks,
        {"quarantine": {"total": total, "rows": rows}},
        [Number("quarantine", count(total), (note,), rank=3)],
        steps,
    )
