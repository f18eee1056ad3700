"""How good models are on the validation images, by which their best epochs were chosen.

Whoever changes settings looks here, and leaves the test images for the last judgement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from iip_assets.evaluation.evaluation import Judgement
from iip_assets.metrics.constants import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import ScoredPredictions, score
from iip_assets.models.answers import scored_filter, scored_segmenter
from iip_assets.models.tasks import FILTER, SEGMENTER

_SCHEMA = {
    "model": pl.String(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n_images": pl.Int64(),
    "n_subjects": pl.Int64(),
}


def validation_table(
    predictions: pl.DataFrame,
    groups: pl.DataFrame,
    *,
    mask_classes: Sequence[str],
    judgement: Judgement,
) -> pl.DataFrame:
    """Every metric of both models: model, metric, value, low, high, n_images, n_subjects.

    A model that said nothing about validation images of known truth has no rows.

    Args:
        predictions: The table of predictions; only its validation images are looked at.
        groups: `image_id`, `group_id`.
        mask_classes: Names of the mask's classes.
        judgement: How to judge.
    """
    held_out = predictions.filter(pl.col("split") == "validation").join(groups, on="image_id")
    # As in training: an image labelled `unclear` chooses nothing, mask or not.
    clear = held_out.filter(pl.col("label").ne_missing("unclear"))
    return pl.concat(
        [
            filter_validation(held_out, judgement),
            segmenter_validation(clear, mask_classes, judgement),
        ]
    )


def filter_validation(held_out: pl.DataFrame, judgement: Judgement) -> pl.DataFrame:
    """The filter's rows of `validation_table`.

    Args:
        held_out: `image_id`, `group_id`, `label`, `prob_<class>` (null where it said nothing).
        judgement: How to judge.
    """
    said = pl.col(f"prob_{FILTER_CLASSES[0]}").is_not_null()
    known = held_out.filter(pl.col("label").is_in(FILTER_CLASSES) & said)
    return _rows(FILTER.name, scored_filter(known), judgement)


def segmenter_validation(
    held_out: pl.DataFrame, classes: Sequence[str], judgement: Judgement
) -> pl.DataFrame:
    """The segmenter's rows of `validation_table`.

    Args:
        held_out: `image_id`, `group_id` and the counts `confusion` (K, K) and `boundary` (K, 4),
            null where it said nothing.
        classes: The K names.
        judgement: How to judge.
    """
    known = held_out.filter(pl.col("confusion").is_not_null())
    return _rows(SEGMENTER.name, scored_segmenter(known, classes, boundary="boundary"), judgement)


def _rows(model: str, judged: ScoredPredictions, judgement: Judgement) -> pl.DataFrame:
    places = np.arange(len(judged.image_ids))
    if not len(places):
        return pl.DataFrame(schema=_SCHEMA)
    scored = score(
        judged,
        places,
        resamples=judgement.resamples,
        confidence=judgement.confidence,
        seed=judgement.seed,
    )
    rows = [
        (model, metric, one.value, one.low, one.high, scored.n_images, scored.n_subjects)
        for metric, one in scored.estimates.items()
    ]
    return pl.DataFrame(rows, schema=_SCHEMA, orient="row")
