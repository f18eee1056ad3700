"""Batches that were chosen by what their labels would be worth: what was promised, what came.

The promise stands in the data, as the tag `promised_gain` of each row, which `iip label next` wrote
and the labelled batch brought back. What came of it is what the filter's head gains on the
validation images when it is trained on all that was labelled until then with the batch, against
without it: no later batch changes that, however superfluous it makes an old one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isnan

import polars as pl

from iip_assets.audit.batch_verdict import judge_batches
from iip_assets.settings import EvaluationSettings

PROMISED = "promised_gain"
LEAST_BATCHES = 4
"""With fewer a rank correlation says nothing."""


def batches_of(images: pl.DataFrame, label_rows: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `batch` and `promised_gain` of every image.

    The batch is the one with which it came. An image that was chosen by `iip label next` was there
    before: its batch is the first that labelled it.

    Args:
        images: `image_id`, `batch` and `tags`.
        label_rows: `image_id`, `batch`, `label`.
    """
    first = label_rows.drop_nulls("label").group_by("image_id").agg(labelled=pl.col("batch").min())
    promise = pl.col("tags").map_elements(_promise, return_dtype=pl.Float64)
    rows = images.select("image_id", "batch", promise.alias(PROMISED))
    chosen = pl.when(pl.col(PROMISED).is_not_null()).then("labelled")
    return rows.join(first, on="image_id", how="left", maintain_order="left").select(
        "image_id", pl.coalesce(chosen, "batch").alias("batch"), PROMISED
    )


def _promise(tags: str) -> float | None:
    try:
        value = float(json.loads(tags)[PROMISED])
    except (KeyError, ValueError):
        return None
    return value if 0 <= value <= 1 else None


def keep_promises(
    trials: Mapping[str, pl.DataFrame],
    batches: pl.DataFrame,
    examples: pl.DataFrame,
    evaluation: EvaluationSettings,
) -> pl.DataFrame:
    """A row a batch, the newest first: what its training images promised, and the change of F1.

    `realised` and its interval are null where nothing could be trained to tell.

    Args:
        trials: The tables of `batch_trials`.
        batches: The table of training_batches.
        examples: The table of filter_examples.
        evaluation: How intervals are made.
    """
    promised = batches.drop_nulls(PROMISED)
    sums = promised.group_by("batch").agg(
        pl.len().cast(pl.Int64).alias("training_images"), pl.col(PROMISED).sum().alias("promised")
    )
    none = pl.DataFrame(schema=dict.fromkeys(("image_id", "axis", "slice"), pl.String()))
    parts = trials["promised"].partition_by("tried", as_dict=True, include_key=False)
    judged = [
        judge_batches(
            {"batches": sums.filter(pl.col("batch") == batch), "probabilities": part},
            examples,
            none,
            evaluation,
        )
        for (batch,), part in sorted(parts.items())
    ]
    told = (
        pl.concat(judged)
        if judged
        else judge_batches(
            {"batches": sums.clear(), "probabilities": trials["probabilities"]},
            examples,
            none,
            evaluation,
        )
    )
    found = told.select("batch", "low", "high", "n_images", "n_subjects", realised="difference")
    return sums.join(found, on="batch", how="left").sort("batch", descending=True)


def rank_correlation(kept: pl.DataFrame) -> float | None:
    """Spearman's, of promised and realised gain over batches; None below `LEAST_BATCHES`."""
    known = kept.drop_nulls("realised")
    if known.height < LEAST_BATCHES:
        return None
    found = known.select(pl.corr("promised", "realised", method="spearman")).item()
    return None if found is None or isnan(found) else float(found)


def share_kept(kept: pl.DataFrame) -> float | None:
    """What share of the promised gain came, over all batches; None where nothing can tell."""
    sums = kept.drop_nulls("realised").select(pl.col("promised", "realised").sum())
    promised, realised = sums.row(0)
    return float(realised / promised) if promised else None
