"""From tables of what a model said, beside the truth, to scored predictions: the one place.

Whoever judges a model, for a card, a report, a gate or a comparison, begins here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import (
    Passing,
    ScoredPredictions,
    judge_filter,
    judge_segmenter,
)
from iip_assets.metrics.scores import Gate


def scored_filter(
    said: pl.DataFrame, *, truth: str = "label", end: str = "", passing: Passing | None = None
) -> ScoredPredictions:
    """The filter's probabilities on images of known truth.

    Args:
        said: `image_id`, `group_id`, the truth, and `prob_<class><end>`.
        truth: The column of the truth.
        end: What the columns of the probabilities end in.
        passing: What it lets pass, if that is judged too.
    """
    shares = said.select(f"prob_{name}{end}" for name in FILTER_CLASSES).to_numpy()
    return judge_filter(
        said["image_id"].to_list(),
        said["group_id"].to_list(),
        class_places(said[truth]),
        shares.astype(np.float64),
        FILTER_CLASSES,
        passing=passing,
    )


def scored_segmenter(
    said: pl.DataFrame,
    classes: Sequence[str],
    *,
    confusion: str = "confusion",
    boundary: str | None = None,
) -> ScoredPredictions:
    """The segmenter's counts on images with a mask.

    Args:
        said: `image_id`, `group_id`, and the lists of counts.
        classes: The K names.
        confusion: The column of the pixel counts (K, K).
        boundary: The column of the border counts (K, 4), if borders are judged too.
    """
    size = len(classes)
    return judge_segmenter(
        said["image_id"].to_list(),
        said["group_id"].to_list(),
        counts_of(said[confusion], size, size),
        classes,
        boundary=None if boundary is None else counts_of(said[boundary], size, 4),
    )


def passing_of(said: pl.DataFrame, gate: Gate) -> Passing:
    """What the filter lets pass, from the columns `usable_score` and `passes`."""
    return Passing(said["usable_score"].to_numpy(), said["passes"].to_numpy(), gate)


def passing_from(said: pl.DataFrame, gate: Gate, *, threshold: float) -> Passing:
    """What the filter lets pass from a threshold on, from the columns `prob_<class>`."""
    scores = said.select(usable_score(gate.usable)).to_series().to_numpy()
    return Passing(scores, scores >= threshold, gate)


def usable_score(usable: Sequence[str]) -> pl.Expr:
    """The filter's probability that the segmenter can do something with an image."""
    return pl.sum_horizontal(f"prob_{name}" for name in usable).cast(pl.Float64).clip(0, 1)


def counts_of(lists: pl.Series, *shape: int) -> NDArray[np.float64]:
    """(N, *shape) counts from lists of them."""
    return np.array(lists.to_list(), dtype=np.float64).reshape(-1, *shape)


def class_places(labels: pl.Series) -> NDArray[np.int64]:
    """(N,) the places of labels among the filter's classes."""
    return np.array([FILTER_CLASSES.index(label) for label in labels], dtype=np.int64)
