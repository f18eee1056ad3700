"""How the masks of several labelers of one image agree, and the segmenter with each of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import polars as pl

from iip_assets.dataset.fingerprints import fingerprint_images
from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Files, Skipped
from iip_assets.images.store import ImageStore
from iip_assets.inference.segment_rows import segment_images
from iip_assets.labels.mask_rows import compare_masks

_COUNTS = {"confusion": pl.List(pl.Int64), "boundary": pl.List(pl.Int64)}


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
    """Every mask that one of several labelers drew: image_id, labeler, mask_id, why.

    `why` says why a mask cannot be used, null of one that can. It is the look that the mask in use
    gets when the data are read.

    Args:
        words: From `words_of_labelers`.
        masks: How they are read.
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

    Args:
        drawn: From `drawn_masks`.
        masks: How they are read.

    Returns:
        image_id, labeler, other (the later by name), and the counts `confusion` (K, K) and
        `boundary` (K, 4) of the other's mask against the labeler's.
    """
    told = _of_several(drawn).group_by("image_id", maintain_order=True)
    pairs = pl.DataFrame(
        [
            (image_id, one[0], other[0], one[1], other[1])
            for (image_id,), part in told
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
    """The segmenter's word on those images, held against each labeler's mask.

    Args:
        drawn: From `drawn_masks`.
        model: The segmenter, if there is one.
        masks: How they are read.

    Returns:
        image_id, labeler, and the counts `confusion` (K, K) and `boundary` (K, 4).
    """
    usable = _of_several(drawn)
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


def _of_several(drawn: pl.DataFrame) -> pl.DataFrame:
    """The usable masks of images that have two or more of them."""
    usable = drawn.filter(pl.col("reason").is_null())
    return usable.filter(pl.len().over("image_id") > 1)


def _with_counts(names: pl.DataFrame, filled: pl.DataFrame | None) -> pl.DataFrame:
    """The rows with the counts of a feature table."""
    counts = pl.DataFrame(schema=_COUNTS) if filled is None else filled.select(_COUNTS.keys())
    return names.hstack(counts)
