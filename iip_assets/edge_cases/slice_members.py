"""Which images belong to a slice: those with its tags, or those like some typical ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.edge_cases.projection import embedding_matrix, whitened_directions
from iip_assets.edge_cases.team_slices import REGRESSION_AXIS, SliceRule, TeamSlice


@dataclass(frozen=True)
class Space:
    """Where images lie by what they look like to the backbone.

    Attributes:
        ids: (N,) of the images.
        vectors: (N, P) of length one; zeros where an image has no embedding.
    """

    ids: Sequence[str]
    vectors: NDArray[np.float32]

    @classmethod
    def from_embeddings(cls, embeddings: pl.DataFrame) -> Space:
        """The space of `image_id`, `embedding`; all of them decide how it is scaled."""
        ids, points = embedding_matrix(embeddings)
        return cls(ids, whitened_directions(points))

    def of(self, ids: Sequence[str]) -> Space:
        """The same space with these images alone, in this order."""
        vector_of = dict(zip(self.ids, self.vectors, strict=True))
        nowhere = np.zeros(self.vectors.shape[1], np.float32)
        vectors = [vector_of.get(one, nowhere) for one in ids]
        return Space(ids, np.array(vectors, np.float32).reshape(len(ids), len(nowhere)))

    def distances(self, like: Sequence[str]) -> NDArray[np.float64]:
        """(N,) cosine distances to the middle of these images; infinite where that is unknown."""
        middle = self.of(like).vectors.astype(np.float64).sum(axis=0)
        length = float(np.linalg.norm(middle)) or np.nan
        known = self.vectors.any(axis=1) & np.isfinite(length)
        return np.where(known, 1 - self.vectors @ (middle / length), np.inf)


def members_of(rule: SliceRule, tags: pl.DataFrame, space: Space) -> list[str]:
    """Ids of the images that belong to a slice, sorted.

    Args:
        rule: Who belongs to it.
        tags: image_id, axis, slice.
        space: Where images lie.
    """
    if rule.within is not None:
        near = space.distances(rule.like) <= rule.within
        return sorted(np.array(space.ids)[near].tolist())
    has = [
        tags.filter(pl.col("axis") == axis, pl.col("slice").is_in(names))["image_id"]
        for axis, names in rule.where.items()
    ]
    return sorted(set.intersection(*map(set, has)))


def slice_members(
    slices: Sequence[TeamSlice], tags: pl.DataFrame, embeddings: pl.DataFrame
) -> pl.DataFrame:
    """image_id, axis (`regression`), slice (its name) of the members of each slice, sorted.

    Args:
        slices: Of these the regression slices.
        tags: image_id, axis, slice.
        embeddings: image_id, embedding.
    """
    watched = [one for one in slices if one.regression]
    near = any(one.rule.like for one in watched)
    space = Space.from_embeddings(embeddings if near else embeddings.clear())
    rows = [
        (image_id, REGRESSION_AXIS, one.name)
        for one in watched
        for image_id in members_of(one.rule, tags, space)
    ]
    schema = dict.fromkeys(("image_id", "axis", "slice"), pl.String)
    return pl.DataFrame(rows, schema=schema, orient="row").sort("image_id", "slice")
