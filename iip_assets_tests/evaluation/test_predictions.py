import numpy as np
import polars as pl

from iip_assets.evaluation.predictions import (
    filter_columns,
    predictions_table,
    segmenter_columns,
)
from iip_assets.models.examples import held_out_rows

IMAGES = pl.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "label": ["full", None, "unclear", "none"],
        "mask_id": ["ma", "mb", None, "md"],
    }
)
SPLITS = pl.DataFrame(
    {
        "image_id": ["d", "c", "b", "a"],
        "split": ["train", "test", "validation", "test"],
        "has_mask": [True, False, False, True],
    }
)


def test_only_held_out_images_are_predicted_and_invalid_masks_count_as_none():
    images = held_out_rows(IMAGES, SPLITS)
    assert images["image_id"].to_list() == ["a", "b", "c"]
    assert images["mask_id"].to_list() == ["ma", None, None]
    calibrating = SPLITS.with_columns(split=pl.col("split").replace("validation", "calibration"))
    assert held_out_rows(IMAGES, calibrating)["image_id"].to_list() == ["a", "c"]


def test_without_either_model_its_columns_are_there_and_empty():
    images = held_out_rows(IMAGES, SPLITS)
    table = predictions_table(
        images,
        filter_columns(images, None),
        segmenter_columns(None, ("background", "iris")),
    )
    assert table.columns == [
        *("image_id", "split", "label", "prob_full", "prob_partial", "prob_none", "predicted"),
        *("usable_score", "passes"),
        *("iou_background", "iou_iris", "confusion", "confusion_baseline"),
        "boundary",
    ]
    assert table["predicted"].null_count() == table["confusion"].null_count() == 3
    assert table["confusion"].dtype == pl.List(pl.Int64)


def test_iou_of_an_image_is_null_for_a_class_that_is_nowhere_in_it():
    counts = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    segmented = pl.DataFrame(
        {
            "image_id": ["a"],
            "mask_id": ["ma"],
            "confusion": [counts.ravel().tolist()],
            "baseline": [[8, 0, 0, 4, 0, 0, 0, 0, 0]],
            "boundary": [[0] * 12],
        }
    )
    row = segmenter_columns(segmented, ("background", "iris", "pupil")).row(0, named=True)
    assert row["iou_background"] == 6 / 9
    assert row["iou_iris"] == 3 / 6
    assert row["iou_pupil"] is None
    assert row["confusion"] == counts.ravel().tolist()
