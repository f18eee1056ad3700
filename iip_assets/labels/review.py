"""What a labeler is asked to look at again: each likely error with a suggestion.

A suggested mask changes no more than what is thought wrong: a class that is not marked is added to
the mask, swapped classes are exchanged; else it is what the segmenter sees that did not learn from
the mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import Files
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.images.store import Reader
from iip_assets.inference.segmenter import Segmenter, read_pair
from iip_assets.ingest.export_rows import ExportImage, Suggestion
from iip_assets.labels.folds import deal_folds, fold_files

Mask = NDArray[np.uint8]
MODEL = "models that did not see it"


@dataclass(frozen=True)
class MaskSuggestions:
    """Draws the mask that is suggested in place of one that is likely wrong.

    Attributes:
        masks: By image the mask in use.
        folds: By image the fold whose segmenter did not see it.
        segmenters: By fold.
        store: Where images and masks are.
        max_megapixels: The largest image that is decoded.
    """

    masks: Mapping[str, str]
    folds: Mapping[str, int]
    segmenters: Mapping[int, Segmenter]
    store: Reader
    max_megapixels: float

    @classmethod
    def of(
        cls, examples: pl.DataFrame, files: Files, folds: int, store: Reader, max_megapixels: float
    ) -> MaskSuggestions:
        """From the table of segmenter_examples and the fold segmenters."""
        dealt = deal_folds(examples["group_id"].to_list(), folds)
        ids = examples["image_id"].to_list()
        return cls(
            dict(examples.select("image_id", "mask_id").iter_rows()),
            dict(zip(ids, dealt.tolist(), strict=True)),
            {fold: Segmenter(one, threads=1) for fold, one in fold_files(files).items()},
            store,
            max_megapixels,
        )

    def drawn(self, error: Mapping[str, Any]) -> Mask:
        """The mask (H, W) that is suggested for a row of label_errors."""
        image_id = error["image_id"]
        segmenter = self.segmenters[self.folds[image_id]]
        record = {"image_id": image_id, "mask_id": self.masks[image_id]}
        classes = segmenter.classes
        image, given = read_pair(
            self.store, record, classes=len(classes), max_megapixels=self.max_megapixels
        )
        (seen,) = segmenter.segment([image])
        return mended(error, given, seen, classes)


def mended(error: Mapping[str, Any], given: Mask, seen: Mask, classes: Sequence[str]) -> Mask:
    """The mask (H, W) without one likely error; what is not labelled stays so."""
    names = list(classes)
    if error["kind"] == "missing":
        index = names.index(error["mask_class"])
        return np.where(_largest(seen == index) & (given != NOT_LABELLED), np.uint8(index), given)
    if error["kind"] == "swapped":
        words = error["suggested"].removeprefix("exchange ").split(" and ")
        one, other = (names.index(name) for name in words)
        return np.where(given == one, other, np.where(given == other, one, given)).astype(np.uint8)
    return np.where(given == NOT_LABELLED, given, seen)


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Its largest connected part."""
    count, parts, facts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    if count < 2:
        return region
    return np.asarray(parts == 1 + int(facts[1:, cv2.CC_STAT_AREA].argmax()))


def to_review(
    errors: pl.DataFrame,
    images: Sequence[ExportImage],
    draw: Callable[[Mapping[str, Any]], Mask] | None,
) -> list[ExportImage]:
    """The images of these errors, the likeliest first, each with its reasons and what is suggested.

    Args:
        errors: Rows of label_errors.
        images: Whatever is in the data.
        draw: Draws the mask that is suggested for an error; None where there are no segmenters.
    """
    by_id = {one.image_id: one for one in images}
    found: dict[str, ExportImage] = {}
    for row in errors.iter_rows(named=True):
        one = found.get(row["image_id"]) or by_id.get(row["image_id"])
        if one is None:
            continue
        told = one.suggestion or Suggestion(MODEL, row["confidence"])
        if row["what"] == "label":
            told = replace(told, label=row["suggested"])
        elif row["what"] == "mask" and draw is not None:
            told = replace(told, mask=partial(draw, row))
        reasons = [str(one.facts["reason"])] if "reason" in one.facts else []
        facts = {**one.facts, "reason": "; ".join([*reasons, row["reason"]])}
        # What is there stands in the data; a task is answered anew.
        found[one.image_id] = replace(one, facts=facts, counts=None, others=(), suggestion=told)
    return list(found.values())
