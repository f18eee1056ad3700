"""Tags: all that is known of an image, in words that people understand, one axis after another.

Errors are looked for among them. They reach further than `image_slices`, by which models are
judged: what is only measured, found by clustering or written in a column of the team's own counts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from iip_assets.dataset.schema import UNKNOWN
from iip_assets.dataset.slices import AGE_AXIS, slice_table
from iip_assets.settings import TagSettings

COLUMNS = ("gender", "ethnicity", "geography", "device", "eye", "batch")
# A column of the team's own with more values is no tag: a comment, or an id.
_MOST_VALUES = 20
# Where a mask tells the gaze, it does so within the box of what is marked. On photographs with
# masks its numbers are spread 1.8 times as wide as those of `eye_geometry`.
_MASK_GAZE = 1.8


def image_tags_table(
    images: pl.DataFrame,
    statistics: pl.DataFrame,
    *,
    age_bands: Sequence[int],
    levels: TagSettings,
    words: Sequence[pl.DataFrame] = (),
    geometry: pl.DataFrame | None = None,
    clusters: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Every image's tag on every axis: image_id, axis, slice, sorted; "unknown" where not known.

    An axis on which fewer than two tags are known tells nothing apart and is left out.

    Args:
        images: Of `raw_dataset`.
        statistics: Of `image_statistics`.
        age_bands: Where each age band begins.
        levels: What makes a measure a tag.
        words: Tables of image_id and columns of words, such as lighting.
        geometry: Of `eye_geometry`, if there is one.
        clusters: Of `edge_case_clusters`, if there is one.
    """
    measured = _measured_tags(statistics, geometry, levels)
    tables = [*words, measured]
    if clusters is not None:
        numbered = pl.format("cluster {}", "cluster")
        name = pl.when(pl.col("cluster") < 0).then(pl.lit("no cluster")).otherwise(numbered)
        tables.append(clusters.select("image_id", cluster=name))
    own = _own_columns(images)
    known = {AGE_AXIS, "axis", "slice", *images.columns}
    known |= {name for table in tables for name in table.columns}
    own = own.rename({name: f"{name} as tagged" for name in own.columns[1:] if name in known})
    tables.append(own)
    axes = [name for table in tables for name in table.columns if name != "image_id"]
    table = slice_table(images, age_bands=age_bands, axes=[AGE_AXIS, *COLUMNS, *axes], extra=tables)
    told = table.filter(pl.col("slice") != UNKNOWN).group_by("axis").agg(pl.col("slice").n_unique())
    return table.filter(pl.col("axis").is_in(told.filter(pl.col("slice") > 1)["axis"].to_list()))


def tag_counts(tags: pl.DataFrame) -> pl.DataFrame:
    """axis, slice, n and share of all images, the most frequent tag of each axis first."""
    total = max(1, tags["image_id"].n_unique())
    counts = tags.group_by("axis", "slice").agg(n=pl.len()).with_columns(share=pl.col("n") / total)
    return counts.sort("axis", "n", "slice", descending=[False, True, False])


def _measured_tags(
    statistics: pl.DataFrame, geometry: pl.DataFrame | None, levels: TagSettings
) -> pl.DataFrame:
    """image_id and a column of words for each axis that is measured."""
    found = statistics.select(
        "image_id", "pupil_ratio", "gaze_x", sharp=pl.col("sharpness") / pl.median("sharpness")
    )
    by_mask = pl.col("gaze_x").abs() / _MASK_GAZE
    lids = ((levels.closed_below, "closed"), (levels.narrow_below, "narrow"))
    pupils = ((levels.small_pupil_below, "small"), (levels.large_pupil_above, "medium"))
    words = {
        "sharpness": _word("sharp", ((levels.blurred_below, "blurred"),), "sharp"),
        "pupil": _word("pupil_ratio", pupils, "large"),
        "openness": _word("openness", lids, "open"),
        "glint": _word("glint", ((levels.glint_above, "no glint"),), "glint"),
        "gaze": _word("aside", ((levels.aside_above, "centre"),), "off centre"),
    }
    if geometry is None:
        found = found.with_columns(aside=by_mask)
        del words["openness"], words["glint"]
    else:
        found = found.join(geometry, on="image_id", suffix="_found").with_columns(
            aside=pl.coalesce(by_mask, pl.col("gaze_x_found").abs())
        )
    return found.select("image_id", **words)


def _word(measure: str, below: Sequence[tuple[float, str]], other: str) -> pl.Expr:
    """The word of the first level that a measure is below, else the other one; null as it is."""
    word: pl.Expr = pl.when(pl.col(measure).is_not_null()).then(pl.lit(other))
    for level, name in reversed(below):
        word = pl.when(pl.col(measure) < level).then(pl.lit(name)).otherwise(word)
    return word


def _own_columns(images: pl.DataFrame) -> pl.DataFrame:
    """image_id and the team's own columns of `labels.csv` that have few values."""
    rows = [
        {"image_id": image_id, **json.loads(tags or "{}")}
        for image_id, tags in images["image_id", "tags"].iter_rows()
    ]
    table = pl.DataFrame(rows, infer_schema_length=None)
    few = (name for name in table.columns if table[name].drop_nulls().n_unique() <= _MOST_VALUES)
    return (
        table.select("image_id", *(name for name in few if name != "image_id")) if rows else table
    )
