"""What several labelers said of the same images, how they agree, and the segmenter with each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.dataset.fingerprints import fingerprint_images
from iip_assets.dataset.schema import ANNOTATIONS_FILE
from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Files, Skipped
from iip_assets.images.decode import NOT_LABELLED, decode_mask
from iip_assets.images.header import read_header
from iip_assets.images.store import ImageStore, Store
from iip_assets.inference.segmenter import segment_images
from iip_assets.metrics.functional import boundary_counts, mask_confusion

Mask = NDArray[np.uint8]

WORDS = {
    "image_id": pl.String(),
    "group_id": pl.String(),
    "labeler": pl.String(),
    "label": pl.String(),
    "mask_id": pl.String(),
}
_COUNTS = {"confusion": pl.List(pl.Int64), "boundary": pl.List(pl.Int64)}


def compare_masks(
    records: Sequence[dict[str, Any]], *, n_classes: int, store: Store, threads: int = 2
) -> list[dict[str, Any]]:
    """`confusion` (K, K) and `boundary` (K, 4) of two masks of one image, as lists row by row.

    Records have a `mask_id` and an `other_mask_id`, valid masks of one size. The first mask is
    taken for the truth; only pixels that both of them label count.
    """
    store.fetch([record[name] for record in records for name in ("mask_id", "other_mask_id")])

    def one(record: dict[str, Any]) -> dict[str, Any]:
        first, second = (
            read_mask(store, record[name], n_classes) for name in ("mask_id", "other_mask_id")
        )
        either = (first == NOT_LABELLED) | (second == NOT_LABELLED)
        first[either] = second[either] = NOT_LABELLED
        return {
            "confusion": mask_confusion(first, second, n_classes).ravel().tolist(),
            "boundary": boundary_counts(first, second, n_classes).ravel().tolist(),
        }

    return _in_threads(one, records, threads)


def count_pixels(
    records: Sequence[dict[str, Any]], *, n_classes: int, store: Store, threads: int = 2
) -> list[dict[str, Any]]:
    """`pixels` (K,) of each class in each record's `mask_id`, a valid mask, as a list."""
    store.fetch([record["mask_id"] for record in records])

    def one(record: dict[str, Any]) -> dict[str, Any]:
        mask = read_mask(store, record["mask_id"], n_classes)
        return {"pixels": np.bincount(mask.ravel(), minlength=n_classes)[:n_classes].tolist()}

    return _in_threads(one, records, threads)


def read_mask(store: Store, mask_id: str, n_classes: int) -> Mask:
    """A copy of the mask, to write on."""
    data = store.read(mask_id)
    header = read_header(data)
    return decode_mask(data, height=header.height, width=header.width, n_classes=n_classes).copy()


def _in_threads(
    one: Callable[[dict[str, Any]], dict[str, Any]],
    records: Sequence[dict[str, Any]],
    threads: int,
) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(max_workers=threads) as pool:
        return list(pool.map(one, records))


def words_of_labelers(
    label_rows: pl.DataFrame, splits: pl.DataFrame, *, split: str | None = "test"
) -> pl.DataFrame:
    """The words on images of which two or more labelers gave a label, or drew a mask.

    A labeler's newest word counts, and only a named labeler's: a row without a name may hold what
    several agreed on. Of labels.csv the batch counts whose label (or mask) is in use; what a later
    batch corrected was looked at because it was wrong, so it says nothing of how well people label.

    Args:
        label_rows: The table of raw_dataset.
        splits: `image_id`, `group_id`, `split`.
        split: Only images of it; None for all.

    Returns:
        One row an image and labeler, sorted by both: image_id, group_id, labeler, label (null
        where fewer than two gave one), mask_id (likewise).
    """
    asked = splits if split is None else splits.filter(split=split)
    rows = label_rows.join(asked.select("image_id", "group_id"), on="image_id")
    keys = ["image_id", "group_id", "labeler"]
    labels, masks = (
        _standing(rows, column).select(*keys, column) for column in ("label", "mask_id")
    )
    both = labels.join(masks, on=keys, how="full", coalesce=True)
    return both.select(pl.col(name).cast(dtype) for name, dtype in WORDS.items()).sort(
        "image_id", "labeler"
    )


def _standing(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    """The rows whose `column` is a labeler's present word, where there are several labelers."""
    given = rows.filter(pl.col(column).is_not_null()).with_columns(
        apart=pl.col("file") == ANNOTATIONS_FILE
    )
    in_use = given.filter(~pl.col("apart")).group_by("image_id").agg(in_use=pl.col("batch").max())
    return (
        given.join(in_use, on="image_id", how="left")
        .filter(pl.col("labeler").is_not_null())
        .filter(pl.col("apart") | (pl.col("batch") == pl.col("in_use")))
        .sort(
            "image_id",
            "labeler",
            "apart",
            "batch",
            "labeled_at",
            descending=[False, False, False, True, True],
            nulls_last=True,
        )
        .unique(["image_id", "labeler"], keep="first", maintain_order=True)
        .filter(pl.len().over("image_id") > 1)
    )


@dataclass(frozen=True)
class Masks:
    """How images and masks are read, and what was computed of them before is found.

    Attributes:
        store: Where they are.
        context: Finds what was computed of them before. It is handed on whole: few images have
            several labelers, so a plan must not count on all that the data hold.
        n_classes: K, of the masks.
        max_megapixels: The largest image that is decoded.
        threads: On the processor.
        chunk: Rows that a killed run may lose.
    """

    store: ImageStore
    context: AssetContext
    n_classes: int
    max_megapixels: float
    threads: int
    chunk: int


def drawn_masks(words: pl.DataFrame, masks: Masks) -> pl.DataFrame:
    """Every mask that one of several labelers drew: image_id, labeler, mask_id, reason.

    `reason` says why a mask cannot be used, null of one that can. It is the look that the mask in
    use gets when the data are read.
    """
    drawn = words.filter(pl.col("mask_id").is_not_null()).select("image_id", "labeler", "mask_id")
    if drawn.is_empty():
        return drawn.with_columns(reason=pl.lit(None, dtype=pl.String))
    looked = masks.context.fill(
        "image_fingerprints",
        drawn.select("image_id", "mask_id"),
        fingerprint_images,
        given={"max_megapixels": masks.max_megapixels, "n_classes": masks.n_classes},
        tools={"store": masks.store},
        chunk=masks.chunk,
    ).frame
    reason = pl.coalesce("mask_problem", "problem").cast(pl.String)
    return drawn.with_columns(looked.select(reason=reason))


def compared_masks(drawn: pl.DataFrame, masks: Masks) -> pl.DataFrame:
    """Every two usable masks of an image held against each other.

    Returns:
        image_id, labeler, other (the later by name), and the counts `confusion` (K, K) and
        `boundary` (K, 4) of the other's mask against the labeler's.
    """
    images = usable_of_several(drawn).group_by("image_id", maintain_order=True)
    pairs = pl.DataFrame(
        [
            (image_id, one[0], other[0], one[1], other[1])
            for (image_id,), part in images
            for one, other in combinations(part.select("labeler", "mask_id").rows(), 2)
        ],
        schema=dict.fromkeys(
            ("image_id", "labeler", "other", "mask_id", "other_mask_id"), pl.String()
        ),
        orient="row",
    )
    names = pairs.select("image_id", "labeler", "other")
    if pairs.is_empty():
        return _with_counts(names, None)
    filled = masks.context.fill(
        "mask_pairs",
        pairs.select("mask_id", "other_mask_id"),
        compare_masks,
        given={"n_classes": masks.n_classes},
        tools={"store": masks.store},
        chunk=masks.chunk,
    )
    return _with_counts(names, filled.frame)


def segmented_images(drawn: pl.DataFrame, model: Files | Skipped, masks: Masks) -> pl.DataFrame:
    """The segmenter's masks of those images, if there is one, held against each labeler's mask.

    In image_id, labeler, and the counts `confusion` (K, K) and `boundary` (K, 4).
    """
    usable = usable_of_several(drawn)
    names = usable.select("image_id", "labeler")
    if isinstance(model, Skipped) or usable.is_empty():
        return _with_counts(names.clear(), None)
    filled = segment_images(
        model,
        usable,
        masks.store,
        fill=masks.context.fill,
        max_megapixels=masks.max_megapixels,
        threads=masks.threads,
        chunk=masks.chunk,
    )
    return _with_counts(names, filled)


def usable_of_several(drawn: pl.DataFrame) -> pl.DataFrame:
    """The usable masks of images that have two or more of them."""
    usable = drawn.filter(pl.col("reason").is_null())
    return usable.filter(pl.len().over("image_id") > 1)


def _with_counts(names: pl.DataFrame, filled: pl.DataFrame | None) -> pl.DataFrame:
    """The rows with the counts of a feature table."""
    counts = pl.DataFrame(schema=_COUNTS) if filled is None else filled.select(_COUNTS.keys())
    return names.hstack(counts)
