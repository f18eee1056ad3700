"""One trial of a remedy: a small segmenter with it, at one strength, from one seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from iip_assets.engine.values import Skipped
from iip_assets.fairness.trials import PARTS, pair_groups, sides_of_groups
from iip_assets.images.store import Reader
from iip_assets.inference.segmenter import Segmenter, segment_chunk
from iip_assets.models.segmentation_model import build_segmenter
from iip_assets.settings import SegmenterSettings
from iip_assets.training.trainer import TrainingRun
from iip_assets.training_set.balance import balance_weights


def run_segmenter_trials(
    records: Sequence[Mapping[str, Any]],
    *,
    recipe: Mapping[str, Any],
    classes: Sequence[str],
    max_megapixels: float,
    resampled: bool,
    images: pl.DataFrame,
    store: Reader,
    run: TrainingRun,
) -> list[dict[str, Any]]:
    """`answer` of each trial: the pixel counts (K, K) of each judged image, one after the other.

    Records have remedy, strength and seed, which takes the place of that of the recipe, the fields
    of `SegmenterSettings`; the images are those of `trial_images`.
    """
    learned, tuned, judged = (images.filter(part=name) for name in PARTS)
    found = []
    for one in records:
        built = build_segmenter(
            _with_remedy(learned, tuned, one["remedy"], float(one["strength"])),
            store,
            SegmenterSettings(**{**recipe, "seed": one["seed"]}),
            classes=classes,
            max_megapixels=max_megapixels,
            # A checkpoint there would be that of another trial.
            run=replace(run, scratch=None),
            resampled=one["remedy"] == "resampling" or (resampled and one["remedy"] != "weights"),
        )
        if isinstance(built, Skipped):
            raise ValueError(built.reason)
        answers = segment_chunk(
            judged.select("image_id", "mask_id").to_dicts(),
            max_megapixels=max_megapixels,
            segmenter=Segmenter(built.value.parts, threads=run.machine.threads),
            store=store,
            threads=run.machine.threads,
        )
        counts = np.array([one["confusion"] for one in answers], dtype=np.float64)
        found.append({"answer": counts.ravel().tolist()})
    return found


def _with_remedy(
    learned: pl.DataFrame, tuned: pl.DataFrame, remedy: str, strength: float
) -> pl.DataFrame:
    """Rows as `segmenter_examples` has them, with the remedy that they are to be learned with."""
    weights = learned["weight"].to_numpy()
    if remedy in ("weights", "resampling"):
        weights = balance_weights(learned["group"].to_list(), max_weight=strength)
    rows = pl.concat(
        [
            learned.with_columns(split=pl.lit("train"), weight=pl.Series(weights)),
            tuned.with_columns(split=pl.lit("validation"), weight=pl.lit(1.0)),
        ]
    )
    if remedy not in ("mindiff", "rate_constraint"):
        return rows
    groups = learned.filter("compared")["group"].unique().sort().to_list()
    asked: dict[str, Any] = {"method": remedy, "usable": []}
    if remedy == "mindiff":
        groups = pair_groups(groups)
        asked |= {"weight": strength, "kernel": "gaussian"}
    else:
        asked |= {"floors": [strength] * len(groups)}
    sides = sides_of_groups(rows, groups, remedy)
    return rows.with_columns(
        sides=pl.Series(sides.tolist(), dtype=pl.List(pl.Int8)), remedy=pl.lit(json.dumps(asked))
    )
