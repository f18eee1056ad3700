"""The data: how much of what, whom the images show, and what of it the models learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.dataset.figures import NO_LABEL, batch_table
from iip_assets.dataset.schema import CHALLENGE, LABELS, SPLITS
from iip_assets.edge_cases.tags import tag_counts
from iip_assets.embeddings.leaks import leak_words
from iip_assets.errors import counted
from iip_assets.images.contact_sheet import image_name
from iip_assets.report.blocks import (
    COUNT,
    PERCENT,
    Block,
    Column,
    Image,
    ImageReader,
    Images,
    NextStep,
    Number,
    Paragraph,
    Section,
    Side,
    Table,
    count,
    estimate_column,
    number,
    percent,
    plot,
)
from iip_assets.report.gallery import paths, thumbnail
from iip_assets.report.metrics import records, rounded
from iip_assets.statistics.demographics import coverage_shortfalls
from iip_assets.statistics.figures import coverage_figure
from iip_assets.training_set.figures import cell_summary, cells_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_QUARANTINE_ROWS = 30
QUARANTINE_COLUMNS = ("what", "path", "batch", "row", "column", "value", "reason", "fix")
MOST_STEPS = 2
MOST_PAIRS = 12
_LEAKS = (
    "Each pair shows one photograph, or two of one moment, in two splits: what a model is tested "
    "on there, it has seen. The perceptual hash does not join them. Embeddings proposed them, and "
    "one lies on the other; a picture that was taken another time is not found."
)

Record = dict[str, Any]


def dataset(
    raw_dataset: dict[str, pl.DataFrame], data_splits: pl.DataFrame | None = None
) -> Section:
    """Images by batch and label, and how many remain to be labelled."""
    images = raw_dataset["images"]
    batches = batch_table(images, raw_dataset["label_rows"], raw_dataset["problems"], {})
    names = ("images", "masks", *LABELS, NO_LABEL)
    columns: list[Column | str] = ["batch", *(Column(name, name, COUNT) for name in names)]
    # What a batch says of images of others; most say nothing of them.
    if (batches["corrections"] != "").any():
        columns.append(Column("for images of other batches", "corrections"))
    table = Table(
        "Images by the batch with which they came and by their newest label",
        columns,
        batches.select(*(one for one in batches.columns if one != "tags")).to_dicts(),
    )
    counts = _counts(images, data_splits)
    labels, steps = counts["labels"], []
    if unclear := labels["unclear"]:
        text = f"Labelled unclear: {counted(unclear, 'image')}, of which none trains a model."
        steps.append(NextStep(7, "Labels to discuss", text))
    if images.is_empty():
        text = "Put the folder of a batch into inbox/, and take it with `iip ingest inbox/<batch>`."
        steps.append(NextStep(0, "No images yet", text))
    if labels[NO_LABEL]:
        text = f"{labels[NO_LABEL]:,} of {counted(images.height, 'image')}."
        steps.append(NextStep(7, "Images without a label", text))
    data = {"counts": counts, "batches": table.rows}
    return Section("dataset", "Dataset", [table], data, steps=steps)


def _counts(images: pl.DataFrame, splits: pl.DataFrame | None) -> Record:
    by_label = {label: images.filter(label=label).height for label in LABELS}
    counts = {} if splits is None else dict(splits["split"].value_counts().iter_rows())
    always = {*SPLITS} - {"calibration"}
    names = [one for one in (*SPLITS, CHALLENGE) if one in always or one in counts]
    return {
        "images": images.height,
        "subjects": images["subject_id"].drop_nulls().n_unique(),
        "batches": images["batch"].drop_nulls().n_unique(),
        "with_mask": images["mask_id"].count(),
        "labels": {**by_label, NO_LABEL: images["label"].null_count()},
        "splits": {} if splits is None else {name: counts.get(name, 0) for name in names},
    }


def quarantine(quarantine: pl.DataFrame) -> Section:
    """How much could not be used, and the first cases."""
    total = quarantine.height
    ordered = quarantine.sort(quarantine.columns, nulls_last=True).head(MOST_QUARANTINE_ROWS)
    rows = ordered.select(name for name in QUARANTINE_COLUMNS if name in ordered.columns).to_dicts()
    blocks: list[Block] = [Paragraph("Everything could be used.")]
    steps = []
    if total:
        more = f" The first {len(rows)} are shown." if total > len(rows) else ""
        caption = "What could not be used, why, and how to fix it"
        blocks = [
            Paragraph(f"Entries that could not be used: {count(total)}.{more}"),
            Table(caption, [Column(name, name) for name in QUARANTINE_COLUMNS], rows),
        ]
        text = f"In quarantine: {total}, each with how to fix it."
        steps = [NextStep(8, "Files and rows that could not be used", text)]
    note = "images, masks and rows that could not be used"
    numbers = [Number("quarantine", count(total), (note,), rank=3)]
    data = {"quarantine": {"total": total, "rows": rows}}
    return Section("quarantine", "Quarantine", blocks, data, numbers, steps)


def coverage(demographic_stats: pl.DataFrame, tolerance: float) -> Section:
    """Shares with intervals, targets, and how many images are lacking, of single axes."""
    single = demographic_stats.filter(~pl.col("axis").str.contains("×", literal=True))
    names = ("axis", "value", "n", "n_subjects", "low", "high", "target", "gap", "needed", "enough")
    rows = records(single.select(*names, share="known_share"))
    data = {"coverage": rows}
    if not rows:
        return Section("coverage", "Coverage", data=data)
    blocks: list[Block] = [
        Paragraph("Shares are of the images whose value is known, with intervals."),
        plot(
            lambda: coverage_figure(demographic_stats, tolerance=tolerance),
            "Shares of images by demographic axis, with targets",
        ),
        Table(
            "Coverage beside the target",
            [
                "axis",
                Column("value", "value"),
                "n",
                estimate_column("share, interval", "share", show=percent),
                Column("target", "target", PERCENT),
                Column("to add", "needed", COUNT),
            ],
            rows,
            folded="Coverage as a table",
        ),
    ]
    # What the plot marks and the check counts.
    gaps = records(
        coverage_shortfalls(single, tolerance=tolerance).select(*names, share="known_share")
    )
    steps = [
        NextStep(
            4,
            f"Too few images of {row['axis']} {row['value']}",
            f"{row['share']:.1%} of the images where it is known (n = {row['n']}), the "
            f"target is {row['target']:.1%}."
            + (f" {row['needed']} more would reach it." if row["needed"] else ""),
        )
        for row in gaps[:MOST_STEPS]
        if row["share"] is not None
    ]
    return Section("coverage", "Coverage", blocks, data, steps=steps)


def leaks(split_leaks: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]) -> Section | None:
    """The surest pairs, side by side; nothing where there is none."""
    if split_leaks.is_empty():
        return None
    shown = split_leaks.head(MOST_PAIRS)
    pairs = shown.select("image_id", "other_id").rows()
    words = leak_words(shown, raw_dataset["images"])
    path_of = paths(raw_dataset)
    images = [
        thumbnail(
            *((one, path_of.get(one)) for one in pair),
            size=(120, 90),
            caption=caption,
            alt="Two images that show one photograph",
        )
        for pair, caption in zip(pairs, words, strict=True)
    ]
    pairs_in_words = counted(split_leaks.height, "pair")
    step = NextStep(
        1,
        f"{pairs_in_words} of images across splits show one photograph",
        "`iip leaks --write inbox/NAME` makes a batch that gives both one subject; `iip ingest` "
        "takes it, and both stand on one side.",
    )
    blocks = (
        Paragraph(f"{pairs_in_words}, of which the surest {shown.height} are shown. {_LEAKS}"),
        Images(images, "gallery wide"),
    )
    data = {"leaks": records(split_leaks)}
    return Section("leaks", "Leaks between splits", blocks, data, steps=[step])


def light(
    lighting_stats: pl.DataFrame | None = None, background_stats: pl.DataFrame | None = None
) -> Section:
    """Images by lighting and by background, the most frequent first."""
    tables = {"lighting": lighting_stats, "background": background_stats}
    data = {name: _shares(table[name]) for name, table in tables.items() if table is not None}
    shown = [
        Table(f"Images by {name}", [Column(name, "value"), "n", "share"], rows)
        for name, rows in data.items()
        if rows
    ]
    blocks: list[Block] = [Side(shown)] if shown else []
    return Section("light", "Light and background", blocks, data)


def _shares(column: pl.Series) -> list[Record]:
    known = column.cast(pl.String).fill_null("unknown").alias("value")
    counts = known.value_counts(name="n").with_columns(share=pl.col("n") / known.len())
    return records(counts.sort("n", "value", descending=[True, False]))


def tags(image_tags: pl.DataFrame) -> Section:
    """The tags by which errors are looked for, and how many images have each."""
    rows = records(tag_counts(image_tags))
    text = (
        "From the columns of the labels, measures of the images and groups of similar ones. "
        "Openness and glint come from landmarks of the eye, gaze from the mask where there is one."
    )
    table = Table("Images by tag", ["axis", "slice", "n", "share"], rows, folded="Tags as a table")
    return Section("tags", "Tags", [Paragraph(text), table] if rows else [], {"tags": rows})


def balance(rebalanced_training_set: pl.DataFrame) -> Section | None:
    """Shares of the cells before and after weighting."""
    if rebalanced_training_set.is_empty():
        return None
    found = balance_content(rebalanced_training_set)
    text = (
        f"With their weights, {count(found['images'])} training images say as much as "
        f"{count(found['effective'])} equal ones; the largest weight is "
        f"{number(found['largest_weight'])}."
    )
    drawn = plot(
        lambda: cells_figure(cell_summary(rebalanced_training_set)),
        "Share of each cell before and after weighting",
    )
    blocks: list[Block] = [Paragraph(text), drawn]
    return Section("balance", "Training set balance", blocks, {"balance": found})


def balance_content(training_set: pl.DataFrame) -> Record:
    """How far the weights level the cells: shares before and after, the effective sample size.

    The effective sample size is Kish's (1965): the square of the sum over the sum of squares.
    """
    weight = pl.col("weight").cast(pl.Float64)
    total, squares, largest = training_set.select(
        weight.sum(), squares=(weight * weight).sum(), largest=weight.max()
    ).row(0)
    cells = (
        training_set.group_by(pl.col("cell").cast(pl.String).fill_null("unknown"))
        .agg(n=pl.len(), share_after=weight.sum() / total)
        .sort(["n", "cell"], descending=[True, False])
        .with_columns(share_before=pl.col("n") / training_set.height)
    )
    return {
        "images": training_set.height,
        "effective": rounded(total * total / squares) if squares else None,
        "largest_weight": rounded(largest),
        "cells": records(cells),
    }


def augmentation(segmenter_examples: pl.DataFrame, raw_dataset: dict[str, pl.DataFrame]) -> Section:
    """A training image and each way of changing it: one that counts most, by its id."""
    training = segmenter_examples.filter(split="train")
    if training.is_empty():
        return Section("training", "Training", data={"augmented": None})
    heaviest = training.sort(["weight", "image_id"], descending=[True, False])
    shown = heaviest.select("image_id", "mask_id").row(0, named=True)

    def draw(reader: ImageReader) -> Figure:
        from iip_assets.models.figures import augmentation_figure

        image = reader.image(shown["image_id"])
        mask = reader.mask(shown["mask_id"], height=image.shape[0], width=image.shape[1])
        return augmentation_figure(image, mask, seed=0)

    text = (
        "The segmenter sees each training image changed in ways in which images of one eye "
        "differ. In brackets: in how many of the images. White lines are the mask's borders, "
        "which move with the image."
    )
    alt = "A training image and each way of changing it"
    name = image_name(shown["image_id"], paths(raw_dataset).get(shown["image_id"]))
    image = Image(alt, draw, tuple(shown.values()), source=name)
    blocks: list[Block] = [Paragraph(text), Images([image])]
    return Section("training", "Training", blocks, {"augmented": shown})
