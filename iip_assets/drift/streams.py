"""What is followed over the batches: one value a subject of each feature.

Each subject enters once, with the batch that first had it, and gives one value of each feature:
the mean of a number over that batch's images, else that of the first image by its hash, so that ten
images of a person count once. In what order subjects come within a batch, and which image stands
for each, does not change when a batch is added, so what was looked at stays as it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.drift.columns import EMBEDDING, WORDS, clean_numbers, clean_words
from iip_assets.engine.values import Skipped

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


def of_batches(images: pl.DataFrame, splits: pl.DataFrame, *, since: str) -> pl.DataFrame:
    """Images that can be decoded, of batches from `since` on, with the group of each."""
    known = images.join(splits.select("image_id", "group_id"), on="image_id")
    return known.filter(pl.col("batch").fill_null("") >= since)


def subjects_in_order(images: pl.DataFrame) -> pl.DataFrame:
    """Images of each subject's first batch, subjects and images in the order of their hashes."""
    images = images.with_columns(pl.col("batch").fill_null(""))
    first = images.filter(pl.col("batch") == pl.col("batch").min().over("group_id"))
    hashes = {
        f"by_{name}": [hashlib.sha256(f"drift {one}".encode()).hexdigest() for one in first[name]]
        for name in ("group_id", "image_id")
    }
    return first.with_columns(**{name: pl.Series(own) for name, own in hashes.items()}).sort(
        "batch", *hashes
    )


def drift_streams(images: pl.DataFrame, *, columns: Sequence[str]) -> Streams | Skipped:
    """The streams of numbers, words and embeddings; or why nothing can be followed.

    Args:
        images: image_id, batch, group_id, words and numbers, and `embedding`; those of no batch
            come first.
        columns: Which numbers are followed.
    """
    names = images["batch"].fill_null("").unique().sort().to_list()
    if len(names) < 2:
        beside = f"{names[0]} alone" if any(names) else "none"
        return Skipped(f"alarms hold each batch against those before it; there is {beside}")
    ordered = subjects_in_order(images)
    numbers = [
        name for name in columns if name in ordered.columns and ordered[name].dtype.is_numeric()
    ]
    words = [axis for axis in WORDS if axis in ordered.columns]
    vectors = [EMBEDDING] if EMBEDDING in ordered.columns else []
    finite = {name: clean_numbers(ordered, name) for name in numbers}
    drawn = (
        ordered.with_columns(pl.Series(name, own).fill_nan(None) for name, own in finite.items())
        .group_by("group_id", maintain_order=True)
        .agg(
            pl.first("batch", *words),
            pl.col(numbers).mean(),
            pl.col(vectors).drop_nulls().first(),
        )
    )
    streams = [Stream(name, "", clean_numbers(drawn, name)) for name in numbers]
    for axis in words:
        if drawn[axis].count():
            streams += _words(axis, clean_words(drawn, axis))
    for name in vectors:
        streams += _components(drawn[name])
    streams = [one for one in streams if np.isfinite(one.values).any()]
    if not streams:
        return Skipped("no feature is known of any image")
    names = drawn["batch"].unique().sort().to_list()
    if len(names) < 2:
        return Skipped("alarms follow new subjects, each once; no batch after the first has any")
    return Streams(names, np.array([names.index(one) for one in drawn["batch"]]), streams)


def _words(axis: str, words: NDArray[np.str_]) -> Iterator[Stream]:
    """Whether a subject has each of the commonest words of the first subjects, or another one."""
    found, counts = np.unique(words[:REFERENCE], return_counts=True)
    followed = [str(word) for word in found[np.argsort(-counts, kind="stable")][:_MOST_WORDS]]
    for word in followed:
        yield Stream(axis, word, _tested(words == word))
    yield Stream(axis, OTHER, _tested(~np.isin(words, followed)))


def _components(embeddings: pl.Series) -> Iterator[Stream]:
    """Places along the first principal components of the first subjects, and how far off them."""
    from threadpoolctl import threadpool_limits

    known = embeddings.is_not_null().to_numpy()
    first = known[:REFERENCE].sum()
    if len(known) <= REFERENCE or first < _COMPONENTS + 1:
        return
    table = np.array(embeddings.drop_nulls().to_list(), dtype=np.float64)
    centred = table - table[:first].mean(0)
    with threadpool_limits(1, "blas"):  # the same bits on any number of cores
        axes = np.linalg.svd(centred[:first], full_matrices=False)[2][:_COMPONENTS]
        axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
        along = centred @ axes.T
        off = np.linalg.norm(centred - along @ axes, axis=1)
    parts = {f"component {k + 1}": along[:, k] for k in range(len(axes))}
    for part, own in {**parts, "off the components": off}.items():
        placed = np.full(len(known), np.nan)
        placed[known] = own.round(5)  # last bits, which differ between machines, change nothing
        yield Stream(EMBEDDING, part, _tested(placed))


def _tested(values: NDArray[np.generic]) -> Floats:
    """Without those that say what is followed."""
    tested = values.astype(np.float64)
    tested[:REFERENCE] = np.nan
    return tested
