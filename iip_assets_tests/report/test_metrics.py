"""Headline numbers for DVC."""

from __future__ import annotations

import json
import math

import pytest

from iip_assets.engine.values import Skipped
from iip_assets.report.metrics import headline, rounded
from iip_assets_tests.report.samples import drift_data, sample_inputs


def test_headlines_hold_each_overall_metric_the_main_interval_and_no_baseline():
    inputs = sample_inputs()
    found = headline(inputs.model_evaluation, inputs.raw_dataset, drift=drift_data())
    assert found["filter"] == {
        "accuracy": 0.92,
        "f1_macro": 0.9,
        "f1_macro_low": pytest.approx(0.87),
        "f1_macro_high": pytest.approx(0.93),
        "images": 90,
    }
    assert found["segmenter"]["mean_iou"] == 0.8
    assert found["data"] == {"images": 120, "labelled": 96, "with_mask": 60, "batches": 3}
    assert found["drift"] == {"share_moved": 0.5}


def test_every_leaf_is_a_number_as_dvc_wants():
    inputs = sample_inputs()
    found = headline(inputs.model_evaluation, inputs.raw_dataset, quarantine=inputs.quarantine)
    for section in json.loads(json.dumps(found)).values():
        assert all(isinstance(value, (int, float)) for value in section.values())


def test_models_that_were_not_made_are_left_out():
    inputs = sample_inputs()
    assert list(headline(Skipped("no labels"), inputs.raw_dataset)) == ["data"]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_json_cannot_hold_becomes_null(value):
    assert rounded(value) is None
