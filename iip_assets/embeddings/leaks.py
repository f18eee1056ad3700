"""Pairs of images of two splits that show one photograph, though the perceptual hash parts them.

A crop, a mirrored or turned copy, or the next picture of a series, under another subject's name or
none, tests a model on what it was trained on. Embeddings propose pairs, the pixels decide
(`image_matching`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

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
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import normalize

    images = embeddings.join(splits.select("image_id", "split"), on="image_id").sort("image_id")
    ids, sides = images["image_id"].to_numpy(), images["split"].to_numpy()
    schema = {"image_id": pl.String, "other_id": pl.String, "similarity": pl.Float64}
    found = [pl.DataFrame(schema=schema)]
    if len({*sides}) > 1:
        vectors = np.array(images["embedding"].to_list(), np.float32)
        # Of as many components as images, each would be as far from each other.
        kept = min(_DIMENSIONS, max(1, images.height // 4), vectors.shape[1])
        with np.errstate(invalid="ignore"):  # images that are all alike
            whitened = PCA(kept, whiten=True, svd_solver="covariance_eigh").fit_transform(vectors)
        vectors = normalize(whitened)
        for side in sorted({*sides} - {"train"}):
            own, others = np.flatnonzero(sides == side), np.flatnonzero(sides != side)
            count = min(NEAREST, len(others))
            search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(vectors[others])
            distances, places = search.kneighbors(vectors[own])
            cosines = 1 - distances.ravel() ** 2 / 2
            ends = (np.repeat(ids[own], count), ids[others][places.ravel()], cosines)
            found.append(pl.DataFrame(dict(zip(schema, ends, strict=True)), schema=schema))
    both = pl.concat_list("image_id", "other_id").list.sort().list.join(" ")
    pairs = pl.concat(found).unique(both, keep="first", maintain_order=True)
    alike = pairs.sort("similarity", descending=True, maintain_order=True).head(MOST_PAIRS)
    return alike.sort("image_id", "other_id")


def leak_table(pairs: pl.DataFrame, splits: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """The pairs that are leaks, the surest first, in `LEAKS`.

    Args:
        pairs: `image_id`, `other_id`, and what `match_pairs` gives of them.
        splits: `image_id`, `split`.
        images: `image_id`, `subject_id`.
    """
    if pairs.is_empty():  # then nothing was matched
        return pl.DataFrame(schema=LEAKS)
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

    def side(image_id: str, subject: str | None, split: str) -> str:
        return f"{path_of.get(image_id, image_id)} ({subject or 'unknown subject'}, {split})"

    return [
        f"{side(row['image_id'], row['subject_id'], row['split'])} and "
        f"{side(row['other_id'], row['other_subject_id'], row['other_split'])}: structure "
        f"correlates by {row['match']:.2f}{', mirrored' * row['mirrored']}"
        for row in leaks.iter_rows(named=True)
    ]


def merged_subjects(
    pairs: Iterable[tuple[str, str]], images: pl.DataFrame
) -> dict[str, Mapping[str, str]]:
    """By image id a `subject_id` for labels.csv, one for all images of the subjects of a pair.

    Of several subjects the one with the most images gives the name; where none is known, the first
    image's id does. Pairs are of image ids; `images` has `image_id` and `subject_id`.
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
