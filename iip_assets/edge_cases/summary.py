"""What a group of images has in common: size, labels, light, who is over-represented."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iip_assets.engine.values import Json

DEMOGRAPHICS = ("gender", "ethnicity", "geography", "device", "eye")
MEASURES = ("brightness", "contrast", "sharpness", "saturation", "iris_visibility")
# z of a two-sided 95% interval
Z = 1.959964


def summarize_clusters(
    clusters: pl.DataFrame,
    images: pl.DataFrame,
    statistics: pl.DataFrame,
    *,
    edge_share: float,
    demographics: Sequence[str] = DEMOGRAPHICS,
) -> pl.DataFrame:
    """One row for each group, small ones marked as edge cases.

    Args:
        clusters: image_id, cluster.
        images: The table "images" of raw_dataset.
        statistics: image_statistics; measures that it lacks are left out.
        edge_share: A group with at most this share of all images is an edge case.
        demographics: Axes on which over-representation is looked for.

    Returns:
        cluster, images, share, edge_case, labels, over_represented, then medians of measures;
        sorted by cluster, the images that are in no group (-1) first.
    """
    joined = clusters.join(images, on="image_id", how="left").join(
        statistics, on="image_id", how="left"
    )
    measures = [name for name in MEASURES if name in statistics.columns]
    axes = [name for name in demographics if name in images.columns]
    rows: list[dict[str, Json]] = []
    for cluster in sorted(joined["cluster"].unique().to_list()):
        members = joined.filter(pl.col("cluster") == cluster)
        share = members.height / joined.height
        row: dict[str, Json] = {
            "cluster": cluster,
            "images": members.height,
            "share": round(share, 4),
            "edge_case": cluster >= 0 and share <= edge_share,
            "labels": label_mix(members["label"]) if "label" in members.columns else "",
            "over_represented": over_represented(members, joined, axes),
        }
        for name in measures:
            median = members[name].cast(pl.Float64).median()
            row[f"median_{name}"] = round(median, 3) if isinstance(median, float) else None
        rows.append(row)
    schema = {
        "cluster": pl.Int64,
        "images": pl.Int64,
        "share": pl.Float64,
        "edge_case": pl.Boolean,
        "labels": pl.String,
        "over_represented": pl.String,
        **{f"median_{name}": pl.Float64 for name in measures},
    }
    return pl.DataFrame(rows, schema=schema)


def label_mix(labels: pl.Series) -> str:
    """`full 80%, none 20%`, the most frequent first; images without a label are `unknown`."""
    if labels.is_empty():
        return ""
    counts = labels.cast(pl.String).fill_null("unknown").value_counts().rows()
    ordered = sorted(counts, key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{word} {round(100 * n / labels.len())}%" for word, n in ordered)


def over_represented(members: pl.DataFrame, everyone: pl.DataFrame, axes: Sequence[str]) -> str:
    """The value that is most certainly over-represented among the members, in words.

    Certainly means by the lower end of the Wilson interval of its share (Wilson 1927) against its
    share among everyone, each among images where the axis is known: two lucky images do not win.
    Intervals take images as independent, so read it as a hint.

    Returns:
        `gender female 90% (40% of all)`, or an empty text where nothing is over-represented.
    """
    best: tuple[float, str] = (1.0, "")
    for axis in axes:
        known = everyone[axis].drop_nulls()
        inside = members[axis].drop_nulls()
        counts = dict(inside.value_counts().rows())
        for value, n_all in sorted(known.value_counts().rows(), key=lambda pair: str(pair[0])):
            n = counts.get(value, 0)
            if not n:
                continue
            base = n_all / known.len()
            lift = wilson_low(n, inside.len()) / base
            if lift > best[0]:
                share = round(100 * n / inside.len())
                best = (lift, f"{axis} {value} {share}% ({round(100 * base)}% of all)")
    return best[1]


def wilson_low(hits: int, n: int) -> float:
    """Lower end of the 95% Wilson interval of `hits` out of `n`, n > 0."""
    share = hits / n
    middle = share + Z * Z / (2 * n)
    spread = Z * math.sqrt((share * (1 - share) + Z * Z / (4 * n)) / n)
    return max(0.0, (middle - spread) / (1 + Z * Z / n))
