"""Which images stand on the contact sheets."""

from __future__ import annotations

import polars as pl

MAX_STRIPS = 20


def exemplars_by_cluster(
    clusters: pl.DataFrame, *, limit: int = MAX_STRIPS
) -> dict[int, list[str]]:
    """Image ids of each group's exemplars, the smallest group (the likeliest edge case) first.

    Args:
        clusters: image_id, cluster, exemplar.
        limit: At most so many groups.
    """
    sizes = (
        clusters.filter(pl.col("cluster") >= 0)
        .group_by("cluster")
        .len()
        .sort(["len", "cluster"], descending=[False, True])
        .head(limit)
    )
    typical = clusters.filter("exemplar").sort("image_id")
    return {
        cluster: typical.filter(pl.col("cluster") == cluster)["image_id"].to_list()
        for cluster in sizes["cluster"]
    }


def strongest_outliers(clusters: pl.DataFrame, *, n: int) -> list[str]:
    """Image ids of the `n` highest outlier scores, the highest first."""
    known = clusters.drop_nulls("outlier_score")
    return (
        known.sort(["outlier_score", "image_id"], descending=[True, False])
        .head(n)["image_id"]
        .to_list()
    )
