"""The map of all images, groups of images that look alike, and those that look like no other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from iip_assets.edge_cases.summary import (
    exemplars_by_cluster,
    map_figure,
    plain_map_figure,
    strongest_outliers,
    summarize_clusters,
)
from iip_assets.images.contact_sheet import sheet
from iip_assets.report.blocks import (
    Block,
    Heading,
    ImageReader,
    Paragraph,
    Picture,
    Pictures,
    Section,
    count,
    percent,
    plot,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_STRIPS = 12
STRIP_IMAGES = 10
TILE = {"width": 96, "height": 72}


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
        drawn = embedding_map

        def draw() -> Figure:
            if edge_case_clusters is None:
                return plain_map_figure(drawn)
            return map_figure(drawn, edge_case_clusters)

        blocks.append(plot(draw, "Map of all images by similarity, with numbered clusters"))
    if edge_case_clusters is not None:
        statistics = image_statistics
        if statistics is None:
            statistics = pl.DataFrame(schema={"image_id": pl.String})
        data["clusters"] = found = cluster_content(
            edge_case_clusters, raw_dataset["images"], statistics, edge_share=edge_share
        )
        blocks += _strips(found)
    return Section("map", "Map and edge cases", blocks, data)


def cluster_content(
    clusters: pl.DataFrame, images: pl.DataFrame, statistics: pl.DataFrame, *, edge_share: float
) -> dict[str, Any]:
    """The groups, the smallest first, and the images that are shown of them.

    Args:
        clusters: The value of edge_case_clusters.
        images: The table "images" of raw_dataset.
        statistics: The value of image_statistics; no rows where there is none.
        edge_share: A group with at most this share of all images is an edge case.
    """
    summary = summarize_clusters(clusters, images, statistics, edge_share=edge_share)
    # Without the images that are in none.
    rows = summary.filter(pl.col("cluster") >= 0).sort(
        ["images", "cluster"], descending=[False, True]
    )
    strips = exemplars_by_cluster(clusters, limit=MOST_STRIPS)
    return {
        "in_none": int((clusters["cluster"] < 0).sum()),
        "rows": rows.to_dicts(),
        "strips": [
            {"cluster": cluster, "image_ids": ids[:STRIP_IMAGES]} for cluster, ids in strips.items()
        ],
        "outliers": strongest_outliers(clusters, n=STRIP_IMAGES),
    }


def map_digest(embedding_map: pl.DataFrame) -> str:
    """A hash of the map's points, so that a moved map is another report."""
    rows = embedding_map.sort("image_id").select("image_id", "x", "y").rows()
    text = "\n".join(f"{image_id} {x:.3f} {y:.3f}" for image_id, x, y in rows)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _strips(found: Mapping[str, Any]) -> list[Block]:
    facts = {row["cluster"]: row for row in found["rows"]}
    strips = [
        _strip(
            strip["image_ids"],
            f"{len(strip['image_ids'])} typical images of cluster {strip['cluster']}",
            f"Cluster {strip['cluster']}",
            _caption(facts[strip["cluster"]]),
        )
        for strip in found["strips"]
    ]
    blocks: list[Block] = [Pictures(strips, "strip")]
    if hidden := len(found["rows"]) - len(strips):
        blocks.append(Paragraph(f"{hidden} larger clusters are not shown.", soft=True))
    if ids := found["outliers"]:
        alt = f"The {len(ids)} images with the highest outlier score"
        blocks.append(Heading("Farthest from everything else"))
        blocks.append(Pictures([_strip(ids, alt)], "strip"))
    return blocks


def _strip(ids: Sequence[str], alt: str, lead: str = "", caption: str = "") -> Picture:
    def draw(reader: ImageReader) -> NDArray[np.uint8]:
        return sheet([reader.thumbnail(one, **TILE) for one in ids], columns=len(ids))

    return Picture(alt, draw, tuple(ids), lead, caption)


def _caption(row: Mapping[str, Any]) -> str:
    return (
        f": {count(row['images'])} images ({percent(row['share'])})"
        + (", an edge case" if row["edge_case"] else "")
        + (f"; {row['labels']}" if row["labels"] else "")
        + (f"; more {row['over_represented']}" if row["over_represented"] else "")
    )
