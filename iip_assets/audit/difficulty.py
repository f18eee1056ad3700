"""How hard each image is for each task, by models of its kind that did not see the image."""

from __future__ import annotations

import numpy as np
import polars as pl

from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.models.tasks import FILTER, SEGMENTER

DIFFICULTY = {
    **dict.fromkeys(("model", "image_id", "group_id"), pl.String()),
    **dict.fromkeys(("error", "loss", "margin", "disagreement"), pl.Float64()),
}
# Of a probability, so that its logarithm is finite.
_LEAST = 1e-4


def difficulty_table(predictions: pl.DataFrame | None, scores: pl.DataFrame | None) -> pl.DataFrame:
    """Every image with a truth, in `DIFFICULTY`: of each model the hardest first, with `rank`.

    The filter's error is one minus the probability of the label, its loss the negative logarithm of
    that, its margin how far the label is ahead of the next class. The segmenter's error is one
    minus the mean IoU of the classes that are marked or seen, its loss what taking its word would
    gain in nats a labelled pixel; an image without an eye in it is no task for it.

    Args:
        predictions: The table of out_of_fold_predictions, if there is one.
        scores: The table of mask_scores, if there is one.
    """
    parts = [pl.DataFrame(schema=DIFFICULTY)]
    if predictions is not None:
        parts.append(_filter(predictions))
    if scores is not None and scores.height:
        parts.append(_segmenter(scores))
    table = pl.concat(parts, how="diagonal").sort(
        "model", "error", "image_id", descending=[False, True, False]
    )
    return table.with_columns(rank=pl.int_range(1, pl.len() + 1).over("model").cast(pl.Int64))


def _filter(predictions: pl.DataFrame) -> pl.DataFrame:
    is_own = {f"prob_{name}": pl.col("label") == name for name in FILTER_CLASSES}
    own = pl.max_horizontal(pl.when(holds).then(name) for name, holds in is_own.items())
    other = pl.max_horizontal(pl.when(~holds).then(name) for name, holds in is_own.items())
    return predictions.select(
        *("image_id", "group_id", "disagreement"),
        model=pl.lit(FILTER.name),
        error=(1 - own).clip(0, 1),
        loss=-own.clip(lower_bound=_LEAST).log(),
        margin=own - other,
    )


def _segmenter(scores: pl.DataFrame) -> pl.DataFrame:
    given, seen, both = (
        np.array(scores[name].to_list(), dtype=np.float64) for name in ("given", "seen", "both")
    )
    either = given + seen - both
    iou = np.divide(both, either, out=np.full(both.shape, np.nan), where=either > 0)
    judged = np.asarray((either[:, 1:] > 0).any(axis=1))
    mean = np.nanmean(np.where(judged[:, None], iou, 0), axis=1)
    table = scores.select(
        *("image_id", "group_id"),
        model=pl.lit(SEGMENTER.name),
        error=pl.Series(1 - mean),
        loss=pl.Series(scores["gain_all"].to_numpy() / np.maximum(given.sum(1), 1)),
    )
    return table.filter(pl.Series(judged))
