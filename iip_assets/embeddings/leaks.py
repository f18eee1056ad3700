"""Pairs of images of two splits that show one photograph, though the perceptual hash parts them.

A crop, a mirrored or turned copy, or the next picture of a series, under another subject's name or
none, tests a model on what it was trained on. Embeddings propose pairs, the pixels decide
(`image_matching`). How much is enough comes from the data: from pairs that embeddings find alike
and that are nearly all of different eyes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEAREST = 20
"""So many images of other splits are looked at for each held-out one."""
MOST_PAIRS = 40_000
"""Of more pairs, those that are most alike are looked at."""
FALSE_LEAKS = 1.0
"""So many pairs of different eyes may be expected among all pairs that are named."""
LOWEST_MATCH, HIGHEST_MATCH = 0.88, 0.95
"""Between these lies the least correlation of a leak. Of 14,000 pairs of different eyes that look
alike, none reached the first: 0.85 was the most of rendered ones, 0.74 of real ones."""
LEAKS = {
    "image_id": pl.String(),
    "other_id": pl.String(),
    "split": pl.String(),
    "other_split": pl.String(),
    "subject_id": pl.String(),
    "other_subject_id": pl.String(),
    "similarity": pl.Float64(),
    "match": pl.Float64(),
    "reason": pl.String(),
}

# Of whitened embeddings. Copies of 1,240 photographs and of 10,000 face crops stand among the 20
# nearest as often with 256, less often with 64 or without whitening.
_DIMENSIONS = 128
_BLOCK_BYTES = 64_000_000
# From this rank on hardly any neighbour is a copy, yet all look much alike.
_REFERENCE_RANK, _LEAST_REFERENCES, _MOST_REFERENCES = 10, 200, 3_000


def candidate_pairs(embeddings: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `other_id`, `similarity`, `rank`: held-out images and the nearest elsewhere.

    Similarity is the cosine of whitened embeddings. A pair of validation and test stands once.
    """
    images = embeddings.join(splits.select("image_id", "split"), on="image_id").sort("image_id")
    ids, sides = images["image_id"].to_numpy(), images["split"].to_numpy()
    schema = {"image_id": pl.String, "other_id": pl.String, "similarity": pl.Float64}
    found = []
    if len(set(sides)) > 1:
        numbers = images["embedding"].explode().to_numpy().astype(np.float32)
        vectors = whitened(numbers.reshape(images.height, -1))
        for left, right, cosines in nearest_across(vectors, sides, nearest=NEAREST):
            ranks = pl.Series("rank", np.tile(np.arange(cosines.shape[1]), len(left)))
            ends = (np.repeat(ids[left], cosines.shape[1]), ids[right].ravel(), cosines.ravel())
            named = dict(zip(schema, ends, strict=True))
            found.append(pl.DataFrame(named, schema=schema).with_columns(ranks))
    pairs = pl.concat([pl.DataFrame(schema=schema | {"rank": pl.Int64}), *found])
    both = pl.concat_list("image_id", "other_id").list.sort().list.join(" ")
    pairs = pairs.unique(both, keep="first", maintain_order=True)
    far = pairs.filter(pl.col("rank") >= _REFERENCE_RANK)
    references = far.gather_every(max(1, far.height // _MOST_REFERENCES))
    nearest = pairs.sort("similarity", descending=True, maintain_order=True).head(MOST_PAIRS)
    return pl.concat([nearest, references]).unique().sort("image_id", "rank", "other_id")


def least_match(pairs: pl.DataFrame) -> float:
    """From which `match` on a pair of `candidate_pairs` is a leak.

    Fisher's z of the matches of images that look alike and are no nearest neighbours has, from its
    99th percentile on, an exponential tail (Pickands 1975), whose slope is taken up to 99.7%: the
    few leaks that may be among them lie beyond. Where the tail leaves `FALSE_LEAKS` of all pairs is
    the bound, within limits: data in which different eyes are more alike than usual raise it.
    """
    references = pairs.filter(pl.col("rank") >= _REFERENCE_RANK)["match"].to_numpy()
    if len(references) < _LEAST_REFERENCES:
        return LOWEST_MATCH
    start, end = np.arctanh(np.minimum(np.quantile(references, (0.99, 0.997)), 0.999))
    beyond = math.log(max(1.0, 0.01 * pairs.height / FALSE_LEAKS))
    found = math.tanh(start + (end - start) / math.log(0.01 / 0.003) * beyond)
    return min(max(found, LOWEST_MATCH), HIGHEST_MATCH)


def leak_table(pairs: pl.DataFrame, splits: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The pairs that are leaks, the surest first, in `LEAKS`.

    Args:
        pairs: What `candidate_pairs` and `match` give.
        splits: `image_id`, `split`.
        images: `image_id`, `subject_id`.
    """
    if pairs.is_empty():
        return pl.DataFrame(schema=LEAKS)
    about = splits.select("image_id", "split").join(
        images.select("image_id", "subject_id"), on="image_id", how="left"
    )
    others = about.rename({name: f"other_{name.removeprefix('image_')}" for name in about.columns})
    reason = pl.struct("match", "mirrored", "scale", "turned_degrees")
    return (
        pairs.filter(pl.col("match") >= least_match(pairs))
        .with_columns(reason=reason.map_elements(_reason, return_dtype=pl.String))
        .join(about, on="image_id")
        .join(others, on="other_id")
        .sort("match", "image_id", "other_id", descending=[True, False, False])
        .select(pl.col(name).cast(kind) for name, kind in LEAKS.items())
    )


def _reason(found: Mapping[str, Any]) -> str:
    changes = [
        words
        for words, holds in (
            ("mirrored", found["mirrored"]),
            (f"turned by {abs(found['turned_degrees']):.0f}°", abs(found["turned_degrees"]) >= 2),
            ("of another scale", abs(math.log(found["scale"])) > 0.05),
        )
        if holds
    ]
    how = ", ".join(changes) or "with another light, compression or moment"
    return (
        f"one picture lies on the other, {how}: their structure correlates by {found['match']:.2f}"
    )


def whitened(vectors: Floats) -> Floats:
    """(N, D) to (N, at most 128) unit vectors whose components vary alike."""
    centred = vectors - vectors.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    # Of as many components as images, each would be as far from each other.
    kept = min(_DIMENSIONS, max(1, len(vectors) // 4))
    top = axes[:, ::-1][:, :kept] / np.sqrt(np.maximum(variances[::-1][:kept], 1e-9))
    projected = centred @ top
    lengths = np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-9)
    return np.asarray(projected / lengths, dtype=np.float32)


def nearest_across(
    vectors: Floats, sides: NDArray[np.object_], *, nearest: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """For blocks of held-out images (B,): the nearest of other splits (B, K), and their cosines.

    The nearest come first; one block of cosines is held.
    """
    rows = max(1, _BLOCK_BYTES // (4 * len(vectors)))
    for side in sorted({*sides} - {"train"}):
        own, others = np.flatnonzero(sides == side), np.flatnonzero(sides != side)
        count = min(nearest, len(others))
        for start in range(0, len(own), rows):
            left = own[start : start + rows]
            cosines = vectors[left] @ vectors[others].T
            best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
            values = np.take_along_axis(cosines, best, axis=1)
            order = np.argsort(-values, axis=1, kind="stable")
            places = np.take_along_axis(best, order, axis=1)
            yield left, others[places], np.take_along_axis(values, order, axis=1)
