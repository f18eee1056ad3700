"""What the models say of held-out images, as one table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from iip_assets.inference.filter import score_columns
from iip_assets.metrics.functional import iou


def filter_columns(images: pl.DataFrame, verdicts: pl.DataFrame | None) -> pl.DataFrame:
    """`image_id`, `prob_<class>`, `predicted`, `usable_score`, `passes` of what it answered."""
    schema = {
        **score_columns(),
        "predicted": pl.String(),
        "usable_score": pl.Float64(),
        "passes": pl.Boolean(),
    }
    if verdicts is None:
        return pl.DataFrame(schema=schema)
    return images.select("image_id").join(verdicts.select(*schema), on="image_id")


def segmenter_columns(segmented: pl.DataFrame | None, classes: Sequence[str]) -> pl.DataFrame:
    """`image_id`, `iou_<class>`, and counts: `confusion`, `confusion_baseline`, `boundary`.

    From `image_id` and what `segment_chunk` gives.
    """
    size = len(classes)
    names = [f"iou_{name}" for name in classes]
    counts = pl.List(pl.Int64)
    schema: dict[str, pl.DataType] = {
        "image_id": pl.String(),
        **dict.fromkeys(names, pl.Float64()),
        "confusion": counts,
        "confusion_baseline": counts,
        "boundary": counts,
    }
    if segmented is None or segmented.is_empty():
        return pl.DataFrame(schema=schema)
    found = np.array(segmented["confusion"].to_list(), dtype=np.float64)
    values = iou(found.reshape(-1, size, size))
    return pl.DataFrame(
        {
            "image_id": segmented["image_id"],
            **{name: pl.Series(values[:, at]).fill_nan(None) for at, name in enumerate(names)},
            "confusion": segmented["confusion"],
            "confusion_baseline": segmented["baseline"],
            "boundary": segmented["boundary"],
        },
        schema=schema,
    )


def predictions_table(
    images: pl.DataFrame, filtered: pl.DataFrame, segmented: pl.DataFrame
) -> pl.DataFrame:
    """One row a held-out image, sorted by image id; null where a model said nothing."""
    return (
        images.drop("mask_id")
        .join(filtered, on="image_id", how="left")
        .join(segmented, on="image_id", how="left")
        .sort("image_id")
    )
