"""Plots and small tables for people: what the batches hold, and what stands in each split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from iip_assets.dataset.schema import CHALLENGE, LABELS, SPLITS
from iip_assets.errors import counted
from iip_assets.figures import PALETTE, new_figure, shown_word

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

NO_LABEL = "no label"
NO_BATCH = "no batch"

_MOST_BARS = 30
_GREY = "#BBBBBB"
_COLOURS = dict(zip(LABELS, PALETTE, strict=False)) | {NO_LABEL: _GREY}


def batch_table(
    images: pl.DataFrame,
    label_rows: pl.DataFrame,
    problems: pl.DataFrame,
    tags: Mapping[str, Mapping[str, str | None]],
) -> pl.DataFrame:
    """What each batch holds, in the order of the batches' names.

    Args:
        images: image_id, batch, label, mask_id, subject_id of raw_dataset.
        label_rows: image_id, batch, label, mask_id of raw_dataset's label rows.
        problems: batch of raw_dataset's problems.
        tags: Further columns by batch, with the known column that each may have been meant to be.

    Returns:
        batch, images, one column a label, "no label", masks, subjects, corrections, problems, and
        tags: the further columns in words. Corrections are what the batch says of images that came
        with others, such as "1 label".
    """
    import polars as pl

    label = pl.col("label").fill_null(NO_LABEL)
    held = images.group_by(pl.col("batch").fill_null(NO_BATCH)).agg(
        pl.len().cast(pl.Int64).alias("images"),
        *[(label == word).sum().cast(pl.Int64).alias(word) for word in (*LABELS, NO_LABEL)],
        pl.col("mask_id").is_not_null().sum().cast(pl.Int64).alias("masks"),
        pl.col("subject_id").drop_nulls().n_unique().cast(pl.Int64).alias("subjects"),
    )
    bad = problems.group_by(pl.col("batch").fill_null(NO_BATCH)).agg(
        pl.len().cast(pl.Int64).alias("problems")
    )
    words = pl.DataFrame(
        [(batch, ", ".join(_tag_words(names))) for batch, names in tags.items()],
        schema={"batch": pl.Utf8, "tags": pl.Utf8},
        orient="row",
    )
    parts = (held, _corrections(images, label_rows), bad, words)
    table = pl.concat([part.select("batch") for part in parts]).unique()
    for part in parts:
        table = table.join(part, on="batch", how="left")
    return table.with_columns(
        pl.col(pl.Int64).fill_null(0), pl.col("tags", "corrections").fill_null("")
    ).sort("batch")


def _corrections(images: pl.DataFrame, label_rows: pl.DataFrame) -> pl.DataFrame:
    """Of each batch that says something of images of others: on how many, and what, in words."""
    import polars as pl

    came = images.select("image_id", "batch")
    others = label_rows.join(came, on="image_id", how="left", suffix="_of_image").filter(
        pl.col("batch").ne_missing(pl.col("batch_of_image"))
    )
    said = {
        "label": pl.col("label").is_not_null(),
        "mask": pl.col("mask_id").is_not_null(),
        "fact": pl.col("label").is_null() & pl.col("mask_id").is_null(),
    }
    rows = [
        (batch, ", ".join(counted(n, noun) for noun, n in zip(said, counts, strict=True) if n))
        for batch, *counts in others.group_by("batch")
        .agg(pl.col("image_id").filter(that).n_unique().alias(noun) for noun, that in said.items())
        .iter_rows()
    ]
    return pl.DataFrame(rows, schema={"batch": pl.String, "corrections": pl.String}, orient="row")


def _tag_words(names: Mapping[str, str | None]) -> list[str]:
    return [
        name if meant is None else f"{name} (did you mean {meant}?)"
        for name, meant in sorted(names.items())
    ]


def split_table(splits: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Each split: images, share, groups, subjects, one column a label, "no label" and masks."""
    import polars as pl

    joined = splits.join(images.select("image_id", "label", "subject_id"), on="image_id")
    label = pl.col("label").fill_null(NO_LABEL)
    counted = joined.group_by("split").agg(
        pl.len().cast(pl.Int64).alias("images"),
        pl.col("group_id").n_unique().cast(pl.Int64).alias("groups"),
        pl.col("subject_id").drop_nulls().n_unique().cast(pl.Int64).alias("subjects"),
        *[(label == word).sum().cast(pl.Int64).alias(word) for word in (*LABELS, NO_LABEL)],
        pl.col("has_mask").sum().cast(pl.Int64).alias("masks"),
    )
    some = set(counted["split"])
    always = {*SPLITS} - {"calibration"}
    shown = [name for name in (*SPLITS, CHALLENGE) if name in always or name in some]
    return (
        pl.DataFrame({"split": shown})
        .join(counted, on="split", how="left", maintain_order="left")
        .with_columns(pl.col(pl.Int64).fill_null(0))
        .with_columns(
            (pl.col("images") / max(joined.height, 1)).round(4).alias("share"),
        )
    )


def batches_figure(batches: pl.DataFrame) -> Figure:
    """Images by batch and label, from `batch_table`: the newest 30, the newest at the foot."""
    shown = batches.tail(_MOST_BARS)
    figure = _label_bars(shown, "batch")
    if shown.height < batches.height:
        figure.axes[0].set_title(f"the newest {shown.height} of {counted(batches.height, 'batch')}")
    return figure


def splits_figure(splits: pl.DataFrame) -> Figure:
    """Images by split and label, from `split_table`."""
    return _label_bars(splits, "split")


def _label_bars(table: pl.DataFrame, name: str) -> Figure:
    figure = new_figure(height_in=1.4 + 0.32 * max(table.height, 1))
    axes = figure.subplots()
    names = [shown_word(text) for text in table[name]]
    places = list(range(table.height))
    left = [0] * table.height
    for word, colour in _COLOURS.items():
        widths = table[word].to_list()
        if not any(widths):
            continue
        axes.barh(places, widths, left=left, color=colour, label=word, edgecolor="white")
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for place, total in enumerate(left):
        axes.annotate(f" {total:,}", (total, place), va="center", fontsize=8)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.margins(x=0.1)
    axes.set_xlabel("images")
    axes.spines[["top", "right"]].set_visible(False)
    if not any(left):
        axes.set_xlim(0, 1)
        axes.text(0.5, 0.5, "no images", transform=axes.transAxes, ha="center", va="center")
    else:
        figure.legend(loc="outside upper center", ncols=len(_COLOURS), frameon=False, fontsize=8)
    return figure
