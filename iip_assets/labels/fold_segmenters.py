"""Small segmenters that did not see the images that they are asked about, one for each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from iip_assets.engine.values import Files, Skipped
from iip_assets.images.store import Reader
from iip_assets.labels.folds import FOLD, deal_folds, reason_for_no_folds
from iip_assets.models.examples import LEAST_MASKED
from iip_assets.models.segmentation_model import build_segmenter
from iip_assets.settings import MaskErrorSettings, SegmenterSettings
from iip_assets.training.trainer import TrainingRun


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
    parts: dict[str, bytes] = {}
    version_of: list[str] = []
    for held_out in np.unique(fold).tolist():
        learned = rows.filter(pl.Series(fold != held_out)).select(
            "image_id", "mask_id", "group_id", split=pl.lit("train"), weight=pl.lit(1.0)
        )
        built = build_segmenter(
            _capped(learned, settings.train_images),
            store,
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


def _capped(rows: pl.DataFrame, most: int) -> pl.DataFrame:
    """Whole groups in the order of their ids, which are hashes, until there are so many images."""
    counts = rows.group_by("group_id").len().sort("group_id")
    kept = counts.filter(pl.col("len").cum_sum().shift(1, fill_value=0) < most)
    return rows.join(kept.select("group_id"), on="group_id", how="semi", maintain_order="left")
