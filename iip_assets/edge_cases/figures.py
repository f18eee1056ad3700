"""The map as people see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from iip_assets.engine.figures import PALETTE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# With eight colours, the shape tells apart what shares a colour.
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")


def map_figure(embedding_map: pl.DataFrame, clusters: pl.DataFrame) -> Figure:
    """The map with each group in a colour and marker of its own and its number at its middle.

    Images in no group are small and grey.

    Args:
        embedding_map: image_id, x, y.
        clusters: image_id, cluster.
    """
    figure = new_figure(7.0, 5.0)
    axes = figure.add_subplot()
    points = embedding_map.join(clusters.select("image_id", "cluster"), on="image_id", how="left")
    size = 14 if points.height < 2000 else 5
    loose = points.filter(pl.col("cluster").is_null() | (pl.col("cluster") < 0))
    axes.scatter(loose["x"], loose["y"], s=size * 0.6, c="#9a9a9a", linewidths=0, zorder=1)
    groups = sorted(points.filter(pl.col("cluster") >= 0)["cluster"].unique().to_list())
    for group in groups:
        members = points.filter(pl.col("cluster") == group)
        axes.scatter(
            members["x"],
            members["y"],
            s=size,
            c=PALETTE[group % len(PALETTE)],
            marker=MARKERS[group // len(PALETTE) % len(MARKERS)],
            linewidths=0,
            alpha=0.75,
            zorder=2,
        )
    for group in groups:
        members = points.filter(pl.col("cluster") == group)
        axes.annotate(
            str(group),
            (float(np.median(members["x"])), float(np.median(members["y"]))),
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold",
            zorder=3,
            bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "#444444", "alpha": 0.85},
        )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(
        f"{points.height:,} images, {len(groups)} clusters, {loose.height:,} in none (grey)",
        fontsize=10,
    )
    return figure


def plain_map_figure(embedding_map: pl.DataFrame) -> Figure:
    """The map before anything is known of groups."""
    figure = new_figure(6.0, 4.5)
    axes = figure.add_subplot()
    size = 12 if embedding_map.height < 2000 else 4
    axes.scatter(
        embedding_map["x"], embedding_map["y"], s=size, c=PALETTE[0], linewidths=0, alpha=0.6
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(f"{embedding_map.height:,} images: what is close looks alike", fontsize=10)
    return figure
