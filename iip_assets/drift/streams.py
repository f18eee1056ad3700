"""What is followed over the batches: one value a subject of each feature.

Each subject enters once, with the batch that first had it, and gives one value of each feature:
that of one image drawn by its hash, so that ten images of a person count once and a batch with
more images a person is no change. In what order subjects come within a batch, and which image
stands for each, does not change when a batch is added, so what was looked at stays as it was.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from iip_assets.drift.columns import EMBEDDING, WORDS, clean_numbers, clean_words
from iip_assets.engine.values import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.int64]

# So many subjects say which words are followed and fix the axes of the embeddings; they take no
# part in the tests of these.
REFERENCE = 40
_MOST_WORDS = 6
_COMPONENTS = 4
OTHER = "another word"


@dataclass(frozen=True)
class Stream:
    """One value a subject.

    Attributes:
        feature: Such as `brightness` or `ethnicity`.
        part: The word whose presence is followed, or the part of the embedding; empty for numbers.
        values: Shape (S,), NaN where it is not known or not tested.
    """

    feature: str
    part: str
    values: Floats


@dataclass(frozen=True)
class Streams:
    """Subjects in the order in which they came.

    Attributes:
        names: Of the batches, in order.
        batches: Shape (S,), the place of each subject's first batch.
        streams: What is followed.
    """

    names: list[str]
    batches: Indices
    streams: list[Stream]


def drift_streams(
    images: pl.DataFrame, embeddings: pl.DataFrame | None, *, columns: Sequence[str]
) -> Streams:
    """The streams of numbers, words and embeddings.

    Args:
        images: image_id, batch, group_id, words and numbers; those of no batch come first.
        embeddings: image_id and embedding.
        columns: Which numbers are followed.
    """
    ordered = subjects_in_order(images)
    drawn = _one_each(ordered)
    names = drawn["batch"].unique().sort().to_list()
    found = [
        Stream(name, "", _number(ordered, drawn, name))
        for name in columns
        if name in ordered.columns and ordered[name].dtype.is_numeric()
    ]
    for axis in WORDS:
        if axis in drawn.columns and drawn[axis].count():
            found += _words(axis, clean_words(drawn, axis)[axis].to_numpy())
    if embeddings is not None and drawn.height > REFERENCE:
        found += _components(
            drawn.join(embeddings, on="image_id", how="left", maintain_order="left")
        )
    known = [one for one in found if np.isfinite(one.values).any()]
    places = {name: place for place, name in enumerate(names)}
    return Streams(names, np.array([places[one] for one in drawn["batch"]], dtype=np.int64), known)


def of_batches(images: pl.DataFrame, splits: pl.DataFrame, *, since: str) -> pl.DataFrame:
    """Images that can be decoded, of batches from `since` on, with the group of each."""
    known = images.join(splits.select("image_id", "group_id"), on="image_id")
    return known.filter(pl.col("batch").fill_null("") >= since)


def followed_images(
    images: pl.DataFrame, splits: pl.DataFrame, statistics: pl.DataFrame, *, since: str
) -> pl.DataFrame | Skipped:
    """What `drift_streams` takes, of batches from `since` on; or why nothing can be followed."""
    known = of_batches(images, splits, since=since)
    if known["batch"].n_unique() < 2:
        beside = ", ".join(map(str, known["batch"].unique()))
        return Skipped(
            "alarms hold each batch against those before it; there is "
            + (f"{beside} alone" if beside else "none")
        )
    own = [name for name in statistics.columns if name == "image_id" or name not in known.columns]
    return known.join(statistics.select(own), on="image_id", how="left")


def subjects_in_order(images: pl.DataFrame) -> pl.DataFrame:
    """Images of each subject's first batch, subjects and images in the order of their hashes."""
    images = images.with_columns(pl.col("batch").fill_null(""))
    first = images.filter(pl.col("batch") == pl.col("batch").min().over("group_id"))
    return first.with_columns(
        *(pl.Series(f"by_{name}", _hashes(first[name])) for name in ("group_id", "image_id"))
    ).sort("batch", "by_group_id", "by_image_id")


def _hashes(names: pl.Series) -> list[str]:
    return [hashlib.sha256(f"drift {name}".encode()).hexdigest() for name in names]


def _one_each(ordered: pl.DataFrame) -> pl.DataFrame:
    return ordered.unique("group_id", keep="first", maintain_order=True)


def _number(ordered: pl.DataFrame, drawn: pl.DataFrame, name: str) -> Floats:
    """Of each subject's first image that has a value."""
    values = pl.Series(name, clean_numbers(ordered, name)).fill_nan(None)
    known = _one_each(ordered.select("group_id", values).drop_nulls())
    return clean_numbers(drawn.select("group_id").join(known, on="group_id", how="left"), name)


def _words(axis: str, words: NDArray[np.object_]) -> list[Stream]:
    """Whether a subject has each of the commonest words of the first subjects, or another one."""
    counts = zip(*np.unique(words[:REFERENCE].astype(str), return_counts=True), strict=True)
    commonest = sorted((-count, str(word)) for word, count in counts)
    followed = [word for _, word in commonest[:_MOST_WORDS]]
    hits = {word: words == word for word in followed} | {OTHER: ~np.isin(words, followed)}
    return [Stream(axis, word, _tested(hit)) for word, hit in hits.items()]


def _components(drawn: pl.DataFrame) -> list[Stream]:
    """Places along the first principal components of the first subjects, and how far off them."""
    from threadpoolctl import threadpool_limits

    known = drawn["embedding"].is_not_null().to_numpy()
    table = np.array(drawn["embedding"].drop_nulls().to_list(), dtype=np.float64)
    first = known[:REFERENCE].sum()
    if first < _COMPONENTS + 1:
        return []
    centred = table - table[:first].mean(0)
    with threadpool_limits(1, "blas"):  # the same bits on any number of cores
        axes = np.linalg.svd(centred[:first], full_matrices=False)[2][:_COMPONENTS]
        axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
        along = centred @ axes.T
        off = np.linalg.norm(centred - along @ axes, axis=1)
    parts = {f"component {k + 1}": along[:, k] for k in range(len(axes))}
    parts["off the components"] = off
    found = []
    for part, values in parts.items():
        placed = np.full(len(known), np.nan)
        placed[known] = values.round(5)  # last bits, which differ between machines, rank nobody
        found.append(Stream(EMBEDDING, part, _tested(placed)))
    return found


def _tested(values: NDArray[np.generic]) -> Floats:
    """Without those that say what is followed."""
    tested = values.astype(np.float64)
    tested[:REFERENCE] = np.nan
    return tested
