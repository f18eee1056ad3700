"""The map of all images, groups of images that look alike, and those that look like no other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import polars as pl

from iip_assets.edge_cases.summary import (
    exemplars_by_cluster,
    map_figure,
    plain_map_figure,
    strongest_outliers,
    summarize_clusters,
)
from iip_assets.errors import counted
from iip_assets.report.blocks import Block, Heading, Paragraph, Section, percent, plot
from iip_assets.report.gallery import paths, strip

MOST_STRIPS = 12
STRIP_IMAGES = 10


def clusters(
    raw_dataset: dict[str, pl.DataFrame],
    edge_share: float,
    embedding_map: pl.DataFrame | None = None,
    edge_case_clusters: pl.DataFrame | None = None,
    image_statistics: pl.DataFrame | None = None,
) -> Section | None:
    """A strip of typical images for each group, the smallest first, and the outliers."""
    if embedding_map is None and edge_case_clusters is None:
        return None
    data: dict[str, Any] = {}
    text = (
        "Images that look alike to the backbone lie together. Small groups are edge cases to look "
        "at."
    )
    blocks: list[Block] = [Paragraph(text)]
    if embedding_map is not None:
        data["map"] = {"images": embedding_map.height, "digest": map_digest(embedding_map)}
        draw = partial(plain_map_figure, embedding_map)
        if edge_case_clusters is not None:
            draw = partial(map_figure, embedding_map, edge_case_clusters)
        blocks.append(plot(draw, "Map of all images by similarity, with numbered clusters"))
    if edge_case_clusters is not None:
        statistics = image_statistics
        if statistics is None:
            statistics = pl.DataFrame(schema={"image_id": pl.String})
        images = raw_dataset["images"]
        summary = summarize_clusters(edge_case_clusters, images, statistics, edge_share=edge_share)
        strips = exemplars_by_cluster(edge_case_clusters, limit=MOST_STRIPS)
        # Without the images that are in none, the smallest first.
        rows = summary.filter(pl.col("cluster") >= 0).sort("images", -pl.col("cluster"))
        data["clusters"] = {
            "in_none": edge_case_clusters.filter(pl.col("cluster") < 0).height,
            "rows": rows.to_dicts(),
            "strips": [
                {"cluster": cluster, "image_ids": ids[:STRIP_IMAGES]}
                for cluster, ids in strips.items()
            ],
            "outliers": strongest_outliers(edge_case_clusters, n=STRIP_IMAGES),
        }
        blocks += _strips(data["clusters"], paths(raw_dataset))
    return Section("map", "Map and edge cases", blocks, data)


def map_digest(embedding_map: pl.DataFrame) -> str:
    """A hash of the map's points, so that a moved map is another report."""
    rows = embedding_map.sort("image_id").select("image_id", "x", "y").rows()
    text = "\n".join(f"{image_id} {x:.3f} {y:.3f}" for image_id, x, y in rows)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _strips(found: Mapping[str, Any], path_of: Mapping[str, str]) -> list[Block]:
    captions = {row["cluster"]: _caption(row) for row in found["rows"]}
    blocks: list[Block] = []
    for row in found["strips"]:
        cluster = row["cluster"]
        blocks.append(Heading(f"Cluster {cluster}{captions[cluster]}"))
        blocks.append(strip(row["image_ids"], path_of))
    if hidden := len(captions) - len(found["strips"]):
        blocks.append(Paragraph(f"{counted(hidden, 'larger cluster')} not shown.", soft=True))
    if outliers := found["outliers"]:
        blocks.append(Heading("Farthest from everything else"))
        blocks.append(strip(outliers, path_of))
    return blocks


def _caption(row: Mapping[str, Any]) -> str:
    return (
        f": {counted(row['images'], 'image')} ({percent(row['share'])})"
        + (", an edge case" if row["edge_case"] else "")
        + (f"; {row['labels']}" if row["labels"] else "")
        + (f"; more {row['over_represented']}" if row["over_represented"] else "")
    )
