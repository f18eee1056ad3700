"""Tags: all that is known of an image, in words that people understand, one axis after another.

Errors are looked for among them. They reach further than `image_slices`, by which models are
judged: what is only measured, found by clustering or written in a column of the team's own counts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

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
    tables = [*words, _measured_tags(statistics, geometry, levels)]
    if clusters is not None:
        name = pl.when(pl.col("cluster") >= 0).then(pl.format("cluster {}", "cluster"))
        tables.append(clusters.select("image_id", cluster=name.otherwise(pl.lit("no cluster"))))
    known = {AGE_AXIS, "axis", "slice", *images.columns}
    known.update(*(table.columns for table in tables))
    tables.append(_own_columns(images, known))
    axes = [name for table in tables for name in table.columns if name != "image_id"]
    table = slice_table(images, age_bands=age_bands, axes=[AGE_AXIS, *COLUMNS, *axes], extra=tables)
    told = pl.col("slice").filter(pl.col("slice") != UNKNOWN).n_unique().over("axis")
    return table.filter(told > 1)


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
        *("image_id", "pupil_ratio"),
        sharp=pl.col("sharpness") / pl.median("sharpness"),
        aside=pl.col("gaze_x").abs() / _MASK_GAZE,
    )
    pupils = ((levels.small_pupil_below, "small"), (levels.large_pupil_above, "medium"))
    words = {
        "sharpness": _word("sharp", ((levels.blurred_below, "blurred"),), "sharp"),
        "pupil": _word("pupil_ratio", pupils, "large"),
        "gaze": _word("aside", ((levels.aside_above, "centre"),), "off centre"),
    }
    if geometry is not None:
        found = found.join(geometry, on="image_id").with_columns(
            aside=pl.coalesce("aside", pl.col("gaze_x").abs())
        )
        lids = ((levels.closed_below, "closed"), (levels.narrow_below, "narrow"))
        words["openness"] = _word("openness", lids, "open")
        words["glint"] = _word("glint", ((levels.glint_above, "no glint"),), "glint")
    return found.select("image_id", **words)


def _word(measure: str, below: Sequence[tuple[float, str]], other: str) -> pl.Expr:
    """The word of the first level that a measure is below, else the other one; null as it is."""
    word: pl.Expr = pl.when(pl.col(measure).is_not_null()).then(pl.lit(other))
    for level, name in reversed(below):
        word = pl.when(pl.col(measure) < level).then(pl.lit(name)).otherwise(word)
    return word


def _own_columns(images: pl.DataFrame, known: Collection[str]) -> pl.DataFrame:
    """image_id and the team's own columns of `labels.csv` that have few values.

    One that is called as a known column is `... as tagged`.
    """
    rows = [
        {f"{name} as tagged" if name in known else name: word for name, word in tags.items()}
        for tags in (json.loads(one or "{}") for one in images["tags"])
    ]
    names = sorted({name for row in rows for name in row})
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))
    few = [one for one in table if one.drop_nulls().n_unique() <= _MOST_VALUES]
    return images.select("image_id", *few)
