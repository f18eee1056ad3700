"""Which augmentation helps which slice: heads trained with and without augmented embeddings.

A head on embeddings takes a second, so each augmentation can be tried alone. What helps a head may
help a network that is trained with it; a slice that none helps wants images of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.embeddings.embedder import Embedder
from iip_assets.images.decode import Undecodable, decode_image
from iip_assets.images.letterbox import letterbox_image
from iip_assets.images.store import Reader
from iip_assets.labels.folds import deal_folds
from iip_assets.labels.out_of_fold import fit_head
from iip_assets.metrics.intervals import Intervals, estimate_difference, replicates
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import places_by_slice
from iip_assets.models.augment import LOOKS, WARPS, warped
from iip_assets.training.progress import Progress

TRIALS = {
    "augmentation": pl.String(),
    "axis": pl.String(),
    "slice": pl.String(),
    "gain": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
}
_FOLDS = 2


def copies_of(examples: pl.DataFrame, most: int) -> pl.DataFrame:
    """image_id and augmentation: a copy by each, of so many images at most, whole groups first."""
    chosen = examples.sort("group_id", "image_id").head(most).select("image_id")
    names = pl.DataFrame({"augmentation": [one.name for one in (*WARPS, *LOOKS)]})
    return chosen.join(names, how="cross")


def embed_augmented(
    records: Sequence[dict[str, Any]],
    *,
    max_megapixels: float,
    embedder: Embedder,
    store: Reader,
    threads: int,
) -> list[dict[str, Any]]:
    """`embedding` of each record's image under its `augmentation`; null where it is not decoded.

    What is drawn depends on the image and the augmentation alone.
    """

    def one(record: dict[str, Any]) -> dict[str, Any]:
        return {"embedding": _embedded(record, max_megapixels, embedder, store)}

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, records))


def _embedded(
    record: dict[str, Any], max_megapixels: float, embedder: Embedder, store: Reader
) -> list[float] | None:
    try:
        image = decode_image(store.read(record["image_id"]), max_megapixels=max_megapixels)
    except Undecodable:
        return None
    fitted = letterbox_image(image, embedder.input_width, embedder.input_height)
    rng = np.random.default_rng(int(record["image_id"][:8], 16))
    changed = _augmented(fitted, record["augmentation"], rng)
    return [float(one) for one in embedder.embed(changed[None])[0]]


def _augmented(image: NDArray[np.uint8], name: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    for look in LOOKS:
        if look.name == name:
            return look.change(image, rng)
    (warp,) = (one for one in WARPS if one.name == name)
    height, width = image.shape[:2]
    return warped(image, np.zeros((height, width), np.uint8), warp.matrix(width, height, rng))[0]


def try_augmentations(
    examples: pl.DataFrame,
    augmented: pl.DataFrame,
    slices: pl.DataFrame,
    *,
    least: int,
    intervals: Intervals,
    progress: Progress,
) -> pl.DataFrame:
    """What each augmentation gains on each slice, in `TRIALS`: the label's probability, on average.

    Heads are trained on half of the subjects, with their augmented copies and without them, and
    asked about the other half; then the halves change places.

    Args:
        examples: image_id, group_id, label, embedding.
        augmented: image_id, augmentation, embedding: copies of some of the images.
        slices: image_id, axis, slice.
        least: A slice of fewer images is left out.
        intervals: How they are made.
        progress: Shows how far it is, in heads.
    """
    groups = examples["group_id"].to_list()
    fold = deal_folds(groups, _FOLDS)
    vectors = np.array(examples["embedding"].to_list(), dtype=np.float64)
    classes = np.array([FILTER_CLASSES.index(one) for one in examples["label"]])
    place_of = {one: place for place, one in enumerate(examples["image_id"])}
    copies = augmented.drop_nulls("embedding").filter(pl.col("image_id").is_in(list(place_of)))
    named = ["", *copies["augmentation"].unique().sort()]
    own: dict[str, NDArray[np.float64]] = {}
    for name in progress(named, total=len(named), label="trying augmentations"):
        part = copies.filter(augmentation=name)
        source = np.array([place_of[one] for one in part["image_id"]], dtype=np.int64)
        added = np.array(part["embedding"].to_list(), dtype=np.float64).reshape(
            -1, vectors.shape[1]
        )
        found = np.zeros(len(classes))
        for held_out in range(_FOLDS):
            train, asked = fold != held_out, fold == held_out
            extra = train[source]
            shares = np.exp(
                fit_head(
                    np.concatenate([vectors[train], added[extra]]),
                    np.concatenate([classes[train], classes[source[extra]]]),
                    vectors[asked],
                )
            )
            found[asked] = shares[np.arange(len(shares)), classes[asked]]
        own[name] = found
    rows = []
    for axis, word, places in places_by_slice(examples["image_id"].to_list(), slices):
        if len(places) < least:
            continue
        here = [groups[place] for place in places]
        made = replicates(here, intervals)
        weights = made.weights / np.maximum(made.weights.sum(1, keepdims=True), 1)
        for name in named[1:]:
            values = weights @ (own[name] - own[""])[places]
            one = estimate_difference(values, made.sizes, confidence=intervals.confidence)
            ends = (one.value, one.low, one.high, len(here), len(set(here)))
            rows.append((name, axis, word, *ends))
    return pl.DataFrame(rows, schema=TRIALS, orient="row")
