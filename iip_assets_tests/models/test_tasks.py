"""What is stated of the two jobs fits what the assets and the metrics are called."""

import numpy as np
import pytest

from iip_assets.graph import ASSETS
from iip_assets.metrics.scores import filter_scores, segmenter_scores
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
