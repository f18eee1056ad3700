"""The two-dimensional map of the images, on which people look at clusters, slices and failures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from iip_assets.edge_cases.projection import (
    PCA_DIMENSIONS,
    embedding_matrix,
    principal_components,
    umap_coordinates,
)


@dataclass(frozen=True)
class ImageMap:
    """The map and how it was made.

    Attributes:
        table: image_id, x, y (Float32), sorted by image_id.
        note: In words, which projection was used and why.
    """

    table: pl.DataFrame
    note: str


def map_images(embeddings: pl.DataFrame, *, neighbors: int, min_dist: float, seed: int) -> ImageMap:
    """Lays images out in the plane so that similar ones lie together.

    Embeddings are first reduced to 50 principal components, which keeps 10,000 images of 1,280
    numbers to some seconds. With no more distinct images than `neighbors` there is no
    neighbourhood to speak of, and the first two principal components are the map.

    Args:
        embeddings: image_id, embedding.
        neighbors: UMAP's n_neighbors.
        min_dist: UMAP's min_dist.
        seed: UMAP's seed.
    """
    ids, points = embedding_matrix(embeddings)
    components = principal_components(points, PCA_DIMENSIONS)
    distinct = len(np.unique(components, axis=0))
    if distinct > neighbors and components.shape[1] >= 2:
        plane = umap_coordinates(components, n=2, neighbors=neighbors, min_dist=min_dist, seed=seed)
        note = f"UMAP of {components.shape[1]} principal components, {neighbors} neighbours"
    else:
        plane = np.zeros((len(ids), 2), dtype=np.float32)
        plane[:, : min(2, components.shape[1])] = components[:, :2]
        note = (
            f"two principal components: {distinct} distinct images are too few for UMAP with "
            f"{neighbors} neighbours"
        )
    table = pl.DataFrame(
        {"image_id": ids, "x": plane[:, 0], "y": plane[:, 1]},
        schema={"image_id": pl.String, "x": pl.Float32, "y": pl.Float32},
    )
    return ImageMap(table, note)
