"""What the models say of held-out pictures, as one table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from iip_assets.embeddings.onnx_session import open_session, run
from iip_assets.models.metrics import iou
from iip_assets.models.words import FILTER_CLASSES


def filter_probabilities(
    files: Mapping[str, bytes], embeddings: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The filter's (N, 3) probabilities for (N, D) embeddings, in the order of FILTER_CLASSES."""
    if not len(embeddings):
        return np.zeros((0, len(FILTER_CLASSES)), np.float32)
    return run(open_session(files["filter_head.onnx"], threads=1), embeddings)


def filter_columns(
    pictures: pl.DataFrame, embeddings: pl.DataFrame, files: Mapping[str, bytes] | None
) -> pl.DataFrame:
    """`image_id`, `prob_<class>` and `predicted`; null where there is no filter or embedding."""
    names = [f"prob_{name}" for name in FILTER_CLASSES]
    schema: dict[str, pl.DataType] = {
        "image_id": pl.String(),
        **dict.fromkeys(names, pl.Float32()),
        "predicted": pl.String(),
    }
    if files is None:
        return pl.DataFrame(schema=schema)
    known = pictures.select("image_id").join(embeddings, on="image_id").sort("image_id")
    vectors = np.array(known["embedding"].to_list(), dtype=np.float32)
    found = filter_probabilities(files, vectors)
    return pl.DataFrame(
        {
            "image_id": known["image_id"],
            **{name: found[:, place] for place, name in enumerate(names)},
            "predicted": [FILTER_CLASSES[place] for place in found.argmax(1)],
        },
        schema=schema,
    )


def segmenter_columns(segmented: pl.DataFrame | None, classes: Sequence[str]) -> pl.DataFrame:
    """`image_id`, `iou_<class>`, `confusion` and `confusion_baseline`, flattened K·K pixel counts.

    Args:
        segmented: `image_id`, and `confusion` and `baseline` as `segment_chunk` gives them.
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
