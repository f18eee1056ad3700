"""Which augmentation helps which images: heads trained with and without augmented embeddings.

A head on embeddings takes a second, so each augmentation can be tried alone. What helps a head may
help a network that is trained with it; a slice that none helps wants images of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.embeddings.embedder import Embedder, fitted_image
from iip_assets.images.store import Reader
from iip_assets.labels.folds import deal_folds
from iip_assets.labels.out_of_fold import fit_head
from iip_assets.metrics.functional import weighted_mean
from iip_assets.metrics.intervals import Intervals, estimate_difference, replicates
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.augment import LOOKS, WARPS, Look, warped

if TYPE_CHECKING:
    from iip_assets.training.progress import Progress

TRIALS = {"image_id": pl.String(), "augmentation": pl.String(), "gain": pl.Float64()}
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
        image = fitted_image(record["image_id"], max_megapixels, embedder, store)
        if image is None:
            return {"embedding": None}
        rng = np.random.default_rng(int(record["image_id"][:8], 16))
        changed = _augmented(image, record["augmentation"], rng)
        return {"embedding": embedder.embed(changed[None])[0].tolist()}

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, records))


def _augmented(image: NDArray[np.uint8], name: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    (change,) = (one for one in (*LOOKS, *WARPS) if one.name == name)
    if isinstance(change, Look):
        return change.change(image, rng)
    height, width = image.shape[:2]
    return warped(image, np.zeros((height, width), np.uint8), change.matrix(width, height, rng))[0]


def try_augmentations(
    examples: pl.DataFrame, augmented: pl.DataFrame, *, progress: Progress
) -> pl.DataFrame:
    """What the label of each image gains in probability by each augmentation, in `TRIALS`.

    Heads are trained on half of the subjects, with their augmented copies and without them, and
    asked about the other half; then the halves change places.

    Args:
        examples: image_id, group_id, label, embedding.
        augmented: image_id, augmentation, embedding: copies of some of the images.
        progress: Shows how far it is, in augmentations.
    """
    fold = deal_folds(examples["group_id"].to_list(), _FOLDS)
    vectors = np.array(examples["embedding"].to_list(), dtype=np.float64)
    classes = np.array([FILTER_CLASSES.index(one) for one in examples["label"]])
    place_of = {one: place for place, one in enumerate(examples["image_id"])}
    copies = augmented.drop_nulls("embedding").filter(pl.col("image_id").is_in(list(place_of)))
    named = ["", *copies["augmentation"].unique().sort()]
    own: dict[str, NDArray[np.float64]] = {}
    for name in progress(named, total=len(named), label="trying augmentations"):
        part = copies.filter(augmentation=name)
        source = np.array([place_of[one] for one in part["image_id"]], dtype=np.int64)
        added = np.array(part["embedding"].to_list(), np.float64).reshape(-1, vectors.shape[1])
        own[name] = np.zeros(len(classes))
        for held_out in range(_FOLDS):
            train, asked = fold != held_out, fold == held_out
            extra = train[source]
            logs = fit_head(
                np.concatenate([vectors[train], added[extra]]),
                np.concatenate([classes[train], classes[source[extra]]]),
                vectors[asked],
            )
            own[name][asked] = np.exp(logs[np.arange(len(logs)), classes[asked]])
    gains = [
        examples.select("image_id", augmentation=pl.lit(name), gain=pl.Series(own[name] - own[""]))
        for name in named[1:]
    ]
    return pl.concat([pl.DataFrame(schema=TRIALS), *gains])


def best_gain(
    trials: pl.DataFrame, images: pl.DataFrame, intervals: Intervals
) -> tuple[str, float] | None:
    """The augmentation that surely gains on these images, the most where several do, or None.

    Sure is what is above 0 at a confidence corrected for their number (Bonferroni).

    Args:
        trials: In `TRIALS`.
        images: image_id, group_id.
        intervals: How they are made.
    """
    here = trials.join(images.select("image_id", "group_id"), on="image_id").sort("image_id")
    confidence = 1 - (1 - intervals.confidence) / max(1, here["augmentation"].n_unique())
    found: list[tuple[float, str]] = []
    for (name,), part in here.group_by("augmentation", maintain_order=True):
        made = replicates(part["group_id"].to_list(), intervals)
        means = weighted_mean(part["gain"].to_numpy(), made.weights)
        one = estimate_difference(means, made.sizes, confidence=confidence)
        if one.value is not None and one.low is not None and one.low > 0:
            found.append((one.value, str(name)))
    return max(found)[::-1] if found else None
