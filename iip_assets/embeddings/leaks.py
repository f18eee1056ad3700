"""Pairs of images of two splits that show one photograph, though the perceptual hash parts them.

A crop, a mirrored or turned copy, or the next picture of a series, under another subject's name or
none, tests a model on what it was trained on. Embeddings propose pairs, the pixels decide
(`image_matching`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NEAREST = 20
"""So many images of other splits are looked at for each held-out one."""
MOST_PAIRS = 40_000
"""Of more pairs, those that are most alike are looked at."""
LEAST_MATCH = 0.88
"""The least correlation of a leak. Of 14,000 pairs of different eyes that look alike, none reached
it: 0.85 was the most of rendered ones, 0.74 of real ones."""
LEAKS = {
    **dict.fromkeys(("image_id", "other_id", "split", "other_split"), pl.String()),
    **dict.fromkeys(("subject_id", "other_subject_id"), pl.String()),
    "match": pl.Float64(),
    "mirrored": pl.Boolean(),
}

# Of whitened embeddings. Copies of 1,240 photographs and of 10,000 face crops stand among the 20
# nearest as often with 256, less often with 64 or without whitening.
_DIMENSIONS = 128


def candidate_pairs(embeddings: pl.DataFrame, splits: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `other_id`, `similarity`: held-out images and the nearest of other splits.

    Similarity is the cosine of whitened embeddings. A pair of validation and test stands once.
    """
    from sklearn.neighbors import NearestNeighbors

    images = embeddings.join(splits.select("image_id", "split"), on="image_id").sort("image_id")
    ids, sides = images["image_id"].to_numpy(), images["split"].to_numpy()
    schema = {"image_id": pl.String, "other_id": pl.String, "similarity": pl.Float64}
    found = [pl.DataFrame(schema=schema)]
    for side in sorted({*sides} - {"train"}) if len({*sides}) > 1 else []:
        vectors = _whitened(np.array(images["embedding"].to_list(), np.float32))
        own, others = np.flatnonzero(sides == side), np.flatnonzero(sides != side)
        count = min(NEAREST, len(others))
        search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors[others])
        distances, places = search.kneighbors(vectors[own])
        ends = (
            np.repeat(ids[own], count),
            ids[others][places.ravel()],
            1 - distances.ravel() ** 2 / 2,
        )
        found.append(pl.DataFrame(dict(zip(schema, ends, strict=True)), schema=schema))
    both = pl.concat_list("image_id", "other_id").list.sort().list.join(" ")
    pairs = pl.concat(found).unique(both, keep="first", maintain_order=True)
    alike = pairs.sort("similarity", descending=True, maintain_order=True).head(MOST_PAIRS)
    return alike.sort("image_id", "other_id")


def _whitened(vectors: Floats) -> Floats:
    """(N, D) to (N, at most 128) unit vectors whose components vary alike."""
    centred = vectors - vectors.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    # Of as many components as images, each would be as far from each other.
    kept = min(_DIMENSIONS, max(1, len(vectors) // 4))
    top = axes[:, ::-1][:, :kept] / np.sqrt(np.maximum(variances[::-1][:kept], 1e-9))
    projected = centred @ top
    lengths = np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-9)
    return np.asarray(projected / lengths, dtype=np.float32)


def leak_table(pairs: pl.DataFrame, splits: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The pairs that are leaks, the surest first, in `LEAKS`.

    Args:
        pairs: `image_id`, `other_id`, and what `match_pairs` gives of them.
        splits: `image_id`, `split`.
        images: `image_id`, `subject_id`.
    """
    about = splits.select("image_id", "split").join(
        images.select("image_id", "subject_id"), on="image_id", how="left"
    )
    others = about.rename({name: f"other_{name.removeprefix('image_')}" for name in about.columns})
    return (
        pairs.filter(pl.col("match") >= LEAST_MATCH)
        .join(about, on="image_id")
        .join(others, on="other_id")
        .sort("match", "image_id", "other_id", descending=[True, False, False])
        .select(pl.col(name).cast(kind) for name, kind in LEAKS.items())
    )


def leak_words(leaks: pl.DataFrame, images: pl.DataFrame) -> list[str]:
    """Each leak in words: both files with subject and split, and how well one lies on the other."""
    path_of = dict(images.select("image_id", "path").iter_rows())

    def side(row: Mapping[str, Any], start: str, image: str) -> str:
        subject = row[f"{start}subject_id"]
        who = "of an unknown subject" if subject is None else f"of {subject}"
        return f"{path_of.get(row[image], row[image])} ({who}, {row[f'{start}split']})"

    return [
        f"{side(row, '', 'image_id')} and {side(row, 'other_', 'other_id')}: {match_words(row)}"
        for row in leaks.iter_rows(named=True)
    ]


def match_words(row: Mapping[str, Any]) -> str:
    """How well one image of a leak lies on the other."""
    return f"structure correlates by {row['match']:.2f}" + ", mirrored" * row["mirrored"]


def merged_subjects(
    pairs: Iterable[tuple[str, str]], images: pl.DataFrame
) -> dict[str, Mapping[str, str]]:
    """By image id a `subject_id` for labels.csv, such that the images of each pair have one.

    All images of the subjects of a pair get it, as a person who stands on two sides stays a leak.
    Of several subjects the one with the most images gives the name; where none is known, the first
    image's id does.

    Args:
        pairs: Image ids.
        images: `image_id`, `subject_id`.
    """
    from scipy.cluster.hierarchy import DisjointSet

    subjects = dict(images.select("image_id", "subject_id").iter_rows())
    # Who is seen: whether that is unknown, and a name.
    seen = {one: (name is None, name or f"image-{one[:12]}") for one, name in subjects.items()}
    sizes = Counter(seen.values())
    joined = DisjointSet(sizes)
    for one, other in pairs:
        joined.merge(seen[one], seen[other])
    name_of: dict[tuple[bool, str], str] = {}
    for group in joined.subsets():
        if len(group) > 1:
            _, name = min(group, key=lambda who: (who[0], -sizes[who], who[1]))
            name_of |= dict.fromkeys(group, name)
    return {
        one: {"subject_id": name_of[who]}
        for one, who in sorted(seen.items())
        if name_of.get(who, subjects[one]) != subjects[one]
    }
