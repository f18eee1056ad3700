"""Small segmenters that did not see the images that they are asked about, one for each fold.

Where a mask lacks a class, the segmenter must not learn that the class is not there: it would learn
the omission and call it right. So what most often surrounds the class is left unlabelled in that
mask, as in learning from positive and unlabelled examples (Elkan and Noto 2008): a pupil that is
not marked may lie anywhere in the iris.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.engine.values import Files, Skipped
from iip_assets.images.decode import NOT_LABELLED, decode_mask
from iip_assets.images.header import read_header
from iip_assets.images.store import Reader
from iip_assets.inference.segmenter import eye_classes
from iip_assets.labels.folds import FOLD, deal_folds, reason_for_no_folds
from iip_assets.models.examples import LEAST_MASKED
from iip_assets.models.segmentation_model import build_segmenter
from iip_assets.settings import MaskErrorSettings, SegmenterSettings
from iip_assets.training.trainer import TrainingRun

# Masks from which it is learnt what surrounds each class.
_LOOKED_AT = 300
_NEAR = np.ones((3, 3), np.uint8)


def train_fold_segmenters(
    rows: pl.DataFrame,
    store: Reader,
    recipe: SegmenterSettings,
    settings: MaskErrorSettings,
    *,
    classes: Sequence[str],
    max_megapixels: float,
    run: TrainingRun,
) -> Files | Skipped:
    """A segmenter for each fold, trained on the images of the other folds.

    Args:
        rows: The table of segmenter_examples, whatever the split.
        store: Where the images are.
        recipe: Of the network; frame, length and seed are those of `settings`.
        settings: Folds, frame and length, and from how many images each learns at most.
        classes: Of the masks.
        max_megapixels: The largest image that is decoded.
        run: What the trainings are given.

    Returns:
        The files of `build_segmenter` below `fold_<k>/`.
    """
    groups = rows["group_id"].to_list()
    reason = reason_for_no_folds(groups, least=LEAST_MASKED, what="a valid mask")
    if reason is not None:
        return Skipped(reason)
    small = recipe.model_copy(
        update={
            "width": settings.width,
            "height": settings.height,
            "epochs": settings.epochs,
            "two_pass": True,
            "seed": settings.seed,
        }
    )
    fold = deal_folds(groups, settings.folds)
    lenient = _Lenient.of(rows["mask_id"].to_list(), store, classes)
    parts: dict[str, bytes] = {}
    version_of: list[str] = []
    for held_out in np.unique(fold).tolist():
        learned = rows.filter(pl.Series(fold != held_out)).with_columns(
            split=pl.lit("train"), weight=pl.lit(1.0)
        )
        built = build_segmenter(
            _capped(learned, settings.train_images),
            lenient,
            small,
            classes=classes,
            max_megapixels=max_megapixels,
            run=replace(run, scratch=run.scratch and run.scratch / f"fold_{held_out}"),
        )
        if isinstance(built, Skipped):
            return built
        parts |= {FOLD.format(held_out, name): part for name, part in built.value.parts.items()}
        version_of += [FOLD.format(held_out, name) for name in built.value.version_of]
    return Files(parts, version_of=version_of)


@dataclass(frozen=True)
class _Lenient:
    """A reader that leaves unlabelled, in masks, where a class could lie that they lack.

    Attributes:
        store: Where images and masks are.
        masks: The ids of masks.
        around: By class the class that most often surrounds it, where that is part of an eye.
    """

    store: Reader
    masks: frozenset[str]
    around: Mapping[int, int]

    @classmethod
    def of(cls, masks: Sequence[str], store: Reader, classes: Sequence[str]) -> _Lenient:
        """Learns from some of the masks what surrounds each class."""
        contacts = np.zeros((len(classes), len(classes)), np.int64)
        for mask_id in masks[:: max(1, len(masks) // _LOOKED_AT)]:
            mask = _decoded(store.read(mask_id))
            for index in np.unique(mask[mask != NOT_LABELLED]):
                region = (mask == index).astype(np.uint8)
                rim = (cv2.dilate(region, _NEAR) > region) & (mask != NOT_LABELLED)
                contacts[index] += np.bincount(mask[rim], minlength=len(classes))
        eye = eye_classes(classes)
        most = contacts.argmax(1).tolist()
        around = {k: most[k] for k in eye if contacts[k].any() and most[k] in eye}
        return cls(store, frozenset(masks), around)

    def read(self, md5: str) -> bytes:
        """The bytes; of a mask that lacks a class another PNG."""
        data = self.store.read(md5)
        if md5 not in self.masks:
            return data
        mask = _decoded(data)
        open_to = [outer for inner, outer in self.around.items() if not (mask == inner).any()]
        if not np.isin(mask, open_to).any():
            return data
        mask[np.isin(mask, open_to)] = NOT_LABELLED
        return bytes(cv2.imencode(".png", mask)[1])


def _decoded(data: bytes) -> NDArray[np.uint8]:
    header = read_header(data)
    size = header.height, header.width
    return decode_mask(data, height=size[0], width=size[1], n_classes=NOT_LABELLED).copy()


def _capped(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Whole groups in the order of their ids, which are hashes, until there are so many images."""
    counts = rows.group_by("group_id").len().sort("group_id")
    kept = counts.filter(pl.col("len").cum_sum().shift(1, fill_value=0) < most)
    return rows.join(kept.select("group_id"), on="group_id", how="semi", maintain_order="left")
