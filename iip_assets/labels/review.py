"""What a labeler is asked to look at again: each likely error with the suggestion drawn.

A suggested mask changes no more than what is thought wrong: a class that is not marked is added to
the mask, swapped classes are exchanged; else it is what the segmenter sees that did not learn from
the mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.store import Reader
from iip_assets.inference.segmenter import Segmenter, read_pair

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Suggestion:
    """What should likely stand in an image's place.

    Attributes:
        image_id: Which image.
        reason: Why it is looked at again.
        confidence: How sure that is.
        label: The word, where the label is meant.
        mask: Class indices (H, W), where the mask is meant.
    """

    image_id: str
    reason: str
    confidence: float
    label: str | None = None
    mask: Mask | None = None


def suggestions(
    errors: pl.DataFrame,
    masks: Mapping[str, str],
    folds: Mapping[str, int],
    segmenters: Mapping[int, Segmenter],
    store: Reader,
    *,
    max_megapixels: float,
) -> Iterator[Suggestion]:
    """A suggestion for each label and mask among the errors, in their order, one at a time.

    Args:
        errors: Rows of label_errors.
        masks: By image the mask in use.
        folds: By image the fold whose segmenter did not see it.
        segmenters: By fold.
        store: Where images and masks are.
        max_megapixels: The largest image that is decoded.
    """
    for row in errors.iter_rows(named=True):
        image_id, told = row["image_id"], (row["reason"], row["confidence"])
        if row["what"] == "label":
            yield Suggestion(image_id, *told, label=row["suggested"])
        elif row["what"] == "mask" and image_id in masks:
            segmenter = segmenters[folds[image_id]]
            record = {"image_id": image_id, "mask_id": masks[image_id]}
            image, given = read_pair(
                store, record, classes=len(segmenter.classes), max_megapixels=max_megapixels
            )
            (seen,) = segmenter.segment([image])
            mask = suggested_mask(row, given, seen, segmenter.classes)
            yield Suggestion(image_id, *told, mask=mask)


def suggested_mask(row: Mapping[str, Any], given: Mask, seen: Mask, classes: Sequence[str]) -> Mask:
    """The mask (H, W) with one likely error mended; what is not labelled stays so."""
    names = list(classes)
    if row["kind"] == "missing":
        index = names.index(row["mask_class"])
        return np.where(_largest(seen == index) & (given != NOT_LABELLED), np.uint8(index), given)
    if row["kind"] == "swapped":
        one, other = (names.index(name) for name in row["suggested"][9:].split(" and "))
        return np.where(given == one, other, np.where(given == other, one, given)).astype(np.uint8)
    return np.where(given == NOT_LABELLED, given, seen)


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Its largest connected part."""
    count, parts, facts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    if count < 2:
        return region
    return np.asarray(parts == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax()))
