"""docs/metrics.md tells every metric, and the tests that it names are there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from iip_assets.audit.explained_measures import METRICS
from iip_assets.metrics.scores import Gate, filter_scores, gate_scores, segmenter_scores
from iip_assets.statistics.eye_quality import EYE_MEASURES

TESTS = Path(__file__).parents[1]
TEXT = (TESTS.parent / "docs" / "metrics.md").read_text()
ONES = np.ones((1, 2))
SURE = np.array([True, False])


def metrics():
    classes = ("full", "none")
    yield from filter_scores(np.array([0, 1]), np.eye(2), ONES, classes)
    yield from gate_scores(SURE, np.array([0.9, 0.1]), SURE, ONES, Gate(("full",), 1.0, 1.0))
    yield from segmenter_scores(np.ones((2, 2, 2)), ONES, classes, np.ones((2, 2, 4)))


# A length, and what another is held against.
NO_METRICS = {"iris_radius_px", "chance_share"}


@pytest.mark.parametrize("name", sorted({*metrics(), *METRICS, *EYE_MEASURES} - NO_METRICS))
def test_every_metric_is_told(name):
    assert f"`{re.sub('_(full|none)$', '_<class>', name)}`" in TEXT


def test_the_tests_that_are_named_are_there():
    file = ""
    named = re.findall(r"`([a-z_/]+\.py)?(?:::(\w+))?`", TEXT)
    assert len(named) > 25
    for path, test in named:
        file = path or file
        text = (TESTS / file).read_text()
        assert not test or f"def {test}(" in text, f"{file}::{test}"
