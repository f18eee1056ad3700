"""The difference of two models on the same images."""

import numpy as np
import pytest

from iip_assets.metrics.paired import score_difference
from iip_assets.metrics.scored_predictions import judge_filter, score

CLASSES = ("yes", "no")
HOW = {"resamples": 200, "confidence": 0.95, "seed": 0}


def models(count=120, subjects=30, better=0.1):
    """Two models that find the same subjects hard; the second is right a little more often."""
    rng = np.random.default_rng(0)
    actual = rng.integers(2, size=count)
    groups = [str(index % subjects) for index in range(count)]
    hard = rng.random(subjects) * 0.9
    luck = rng.random(count)
    places = np.array([int(group) for group in groups])
    made = []
    for bonus in (0.0, better):
        said = np.where(luck > hard[places] - bonus, actual, 1 - actual)
        ids = [str(index) for index in range(count)]
        made.append(judge_filter(ids, groups, actual, np.eye(2)[said], CLASSES))
    return made


def test_what_is_hard_for_both_does_not_widen_the_interval():
    before, after = models()
    places = np.arange(120)
    found = score_difference(before, after, places, **HOW)
    alone = score(after, places, **HOW).estimates["accuracy"]
    paired = found.estimates["accuracy"]
    assert paired.value == pytest.approx(
        alone.value - score(before, places, **HOW).estimates["accuracy"].value
    )
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low) / 1.5
    assert (found.n_images, found.n_subjects) == (120, 30)


def test_a_model_against_itself_differs_by_nothing_for_certain():
    before, _ = models()
    found = score_difference(before, before, np.arange(120), **HOW)
    assert {(one.value, one.low, one.high) for one in found.estimates.values()} == {(0, 0, 0)}


def test_of_one_subject_there_is_no_interval():
    before, after = models(subjects=1)
    found = score_difference(before, after, np.arange(120), **HOW).estimates["accuracy"]
    assert found.value is not None
    assert found.low is None
