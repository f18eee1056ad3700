"""Embeddings with known groups."""

from __future__ import annotations

import numpy as np
import polars as pl


def blob_embeddings(sizes, *, seed=0, dimensions=16, spread=0.05, strays=0):
    """Tight groups of the given sizes in random directions, and stray points between them.

    Returns:
        The embeddings table, with ids `g<group>_<number>` and `stray_<number>`.
    """
    rng = np.random.default_rng(seed)
    ids, vectors = [], []
    for group, size in enumerate(sizes):
        middle = rng.normal(size=dimensions)
        middle /= np.linalg.norm(middle)
        for number in range(size):
            ids.append(f"g{group}_{number:03d}")
            vectors.append(middle + spread * rng.normal(size=dimensions))
    for number in range(strays):
        ids.append(f"stray_{number:03d}")
        vectors.append(rng.normal(size=dimensions))
    return pl.DataFrame(
        {"image_id": ids, "embedding": [v.tolist() for v in vectors]},
        schema={"image_id": pl.String, "embedding": pl.List(pl.Float32)},
    )
