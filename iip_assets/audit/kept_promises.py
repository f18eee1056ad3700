"""Batches that were chosen by what their labels would be worth: what was promised, what came.

The promise stands in the data, as the tag `promised_gain` of each row, which `iip label next` wrote
and the labelled batch brought back. What came of it is what the filter's head gains on the
validation images when it is trained on all that was labelled until then with the batch, against
without it: no later batch changes that, however superfluous it makes an old one.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from iip_assets.audit.batch_verdict import judge_batches
from iip_assets.settings import EvaluationSettings

_KEPT = {
    **{"batch": pl.String(), "training_images": pl.Int64()},
    **dict.fromkeys(("promised", "realised", "low", "high"), pl.Float64()),
    **dict.fromkeys(("n_images", "n_subjects"), pl.Int64()),
}


def batches_of(images: pl.DataFrame, label_rows: pl.DataFrame) -> pl.DataFrame:
    """`image_id`, `batch` and `promised_gain` of every image.

    The batch is the one with which it came. An image that was chosen by `iip label next` was there
    before: its batch is the first that labelled it.

    Args:
        images: `image_id`, `batch` and `tags`.
        label_rows: `image_id`, `batch`, `label`.
    """
    first = label_rows.drop_nulls("label").group_by("image_id").agg(labelled=pl.col("batch").min())
    tag = pl.col("tags").cast(pl.String).str.json_path_match("$.promised_gain")
    promise = tag.cast(pl.Float64, strict=False)
    promise = pl.when(promise.is_between(0, 1)).then(promise)
    return images.join(first, on="image_id", how="left", maintain_order="left").select(
        "image_id",
        batch=pl.coalesce(pl.when(promise.is_not_null()).then("labelled"), "batch"),
        promised_gain=promise,
    )


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
    none = pl.DataFrame(schema=dict.fromkeys(("image_id", "axis", "slice"), pl.String()))
    sums = batches.drop_nulls("promised_gain").group_by("batch")
    rows = sums.agg(training_images=pl.len(), promised=pl.sum("promised_gain")).to_dicts()
    for row in rows:
        tried = trials["promised"].filter(tried=row["batch"])
        if not tried.is_empty():
            judged = {"batches": pl.DataFrame([row]), "probabilities": tried}
            (found,) = judge_batches(judged, examples, none, evaluation).to_dicts()
            row.update(found, realised=found["difference"])
    return pl.DataFrame(rows, schema=_KEPT).sort("batch", descending=True)
