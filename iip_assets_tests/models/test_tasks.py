"""What is stated of the two jobs fits the assets and metrics, and what each learns from."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.engine.values import Skipped
from iip_assets.graph import ASSETS
from iip_assets.metrics.scores import filter_scores, segmenter_scores
from iip_assets.models.examples import labelled_images, masked_rows, with_weights
from iip_assets.models.tasks import FILTER, SEGMENTER, TASKS

MASK_CLASSES = ("background", "iris")
ONE = np.ones((1, 1))
SCORES = {
    FILTER: filter_scores(np.array([0]), np.array([[0.6, 0.3, 0.1]]), ONE, FILTER.classes(())),
    SEGMENTER: segmenter_scores(np.ones((1, 2, 2)), ONE, MASK_CLASSES),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_headline_and_the_metric_of_each_class_are_metrics_of_the_model(task):
    assert task.headline in SCORES[task]
    for name in task.classes(MASK_CLASSES):
        assert f"{task.class_metric}_{name}" in SCORES[task]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_model_and_its_examples_are_assets(task):
    assets = {one.name: one for one in ASSETS}
    assert task.examples in assets[task.asset].inputs


def test_a_filter_tells_apart_what_no_setting_changes():
    assert FILTER.classes(MASK_CLASSES) == ("full", "partial", "none")
    assert SEGMENTER.classes(MASK_CLASSES) == MASK_CLASSES


IMAGES = pl.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "label": ["full", "unclear", None, "none"],
        "mask_id": ["m", "n", None, "o"],
        "age_years": [30.0, None, 4.0, 50.0],
    }
)
SPLITS = pl.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "split": ["train", "train", "test", "validation"],
        "group_id": ["g", "g", "h", "i"],
        "has_mask": [True, True, False, False],
    }
)
EMBEDDINGS = pl.DataFrame({"image_id": ["a", "b", "c", "d"], "embedding": [[1.0]] * 4})


def test_a_corrected_age_changes_no_example():
    corrected = IMAGES.with_columns(age_years=pl.lit(31.0))
    for images in (IMAGES, corrected):
        assert labelled_images(images, SPLITS, EMBEDDINGS)["image_id"].to_list() == ["a", "d"]
        # What is unclear trains no model, mask or not.
        assert masked_rows(images, SPLITS)["image_id"].to_list() == ["a"]
    before, after = (masked_rows(images, SPLITS) for images in (IMAGES, corrected))
    assert before.equals(after)


def test_an_image_without_a_weight_counts_one_and_the_order_stays():
    images = labelled_images(IMAGES, SPLITS, EMBEDDINGS)
    weighted = with_weights(images, pl.DataFrame({"image_id": ["d", "x"], "weight": [2.5, 9.0]}))
    assert weighted["weight"].to_list() == [1.0, 2.5]
    assert weighted.drop("weight").equals(images)


def test_without_balancing_all_count_the_same():
    images = labelled_images(IMAGES, SPLITS, EMBEDDINGS)
    assert with_weights(images, Skipped("no axes"))["weight"].to_list() == [1.0, 1.0]
