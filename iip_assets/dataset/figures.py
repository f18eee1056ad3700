"""Plots and small tables for people: what the batches hold, and what stands in each split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from iip_assets.dataset.schema import LABELS, SPLITS
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
    problems: pl.DataFrame,
    tags: Mapping[str, Mapping[str, str | None]],
) -> pl.DataFrame:
    """What each batch holds, in the order of the batches' names.

    Args:
        images: batch, label, mask_id, subject_id of raw_dataset.
        problems: batch of raw_dataset's problems.
        tags: Further columns by batch, with the known column that each may have been meant to be.

    Returns:
        batch, images, one column a label, "no label", masks, subjects, problems, and tags: the
        further columns in words.
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
    batches = pl.concat([held.select("batch"), bad.select("batch"), words.select("batch")])
    return (
        batches.unique()
        .join(held, on="batch", how="left")
        .join(bad, on="batch", how="left")
        .join(words, on="batch", how="left")
        .with_columns(pl.col(pl.Int64).fill_null(0), pl.col("tags").fill_null(""))
        .sort("batch")
    )


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
    return (
        pl.DataFrame({"split": list(SPLITS)})
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
        figure.axes[0].set_title(f"the newest {shown.height} of {batches.height} batches")
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
