"""What the models say of held-out pictures, as one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.models.metrics import iou
from iip_assets.models.verdicts import score_columns, scores_table
from iip_assets.models.words import FILTER_CLASSES


def has_head(files: Mapping[str, bytes]) -> bool:
    """Whether a filter says its word from embeddings; if not, it must see the pixels."""
    return "filter_head.onnx" in files


def head_scores(embeddings: pl.DataFrame, files: Mapping[str, bytes]) -> pl.DataFrame:
    """`image_id` and `prob_<class>` of every embedded picture, by the head alone."""
    known = embeddings.sort("image_id")
    if known.is_empty():
        return scores_table([], np.zeros((0, len(FILTER_CLASSES)), np.float32))
    vectors = np.array(known["embedding"].to_list(), dtype=np.float32)
    session = open_session(files["filter_head.onnx"], threads=1)
    return scores_table(known["image_id"].to_list(), run(session, vectors))


def network_scores(filled: pl.DataFrame) -> pl.DataFrame:
    """`image_id` and `prob_<class>` from what `filter_pixels.score_chunk` gave."""
    ordered = filled.sort("image_id")
    found = np.array(ordered["probabilities"].to_list(), np.float32)
    return scores_table(ordered["image_id"].to_list(), found.reshape(-1, len(FILTER_CLASSES)))


def filter_columns(pictures: pl.DataFrame, verdicts: pl.DataFrame | None) -> pl.DataFrame:
    """`image_id`, `prob_<class>`, `predicted`, `usable_score`, `passes`; null without a word."""
    schema = {
        **score_columns(),
        "predicted": pl.String(),
        "usable_score": pl.Float64(),
        "passes": pl.Boolean(),
    }
    if verdicts is None:
        return pl.DataFrame(schema=schema)
    return pictures.select("image_id").join(verdicts.select(*schema), on="image_id")


def segmenter_columns(segmented: pl.DataFrame | None, classes: Sequence[str]) -> pl.DataFrame:
    """`image_id`, `iou_<class>`, and counts: `confusion`, `confusion_baseline`, `boundary`.

    Args:
        segmented: `image_id`, and what `segment_chunk` gives.
        classes: The K names.
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
    found = [json.loads(text) for text in segmented["confusion"]]
    values = iou(np.array(found, dtype=np.float64).reshape(-1, size, size))
    return pl.DataFrame(
        {
            "image_id": segmented["image_id"],
            **{name: _nulls(values[:, place]) for place, name in enumerate(names)},
            "confusion": found,
            "confusion_baseline": [json.loads(text) for text in segmented["baseline"]],
            "boundary": [json.loads(text) for text in segmented["boundary"]],
        },
        schema=schema,
    )


def predictions_table(
    pictures: pl.DataFrame, filtered: pl.DataFrame, segmented: pl.DataFrame
) -> pl.DataFrame:
    """One row a held-out picture, sorted by image id; null where a model said nothing."""
    return (
        pictures.drop("mask_id")
        .join(filtered, on="image_id", how="left")
        .join(segmented, on="image_id", how="left")
        .sort("image_id")
    )


def _nulls(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
