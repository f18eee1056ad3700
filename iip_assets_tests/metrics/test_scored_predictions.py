"""Two models on the same images."""

from __future__ import annotations

import numpy as np
import pytest

from iip_assets.metrics.scored_predictions import score, score_difference, scored_probabilities
from iip_assets.settings import EvaluationSettings

CLASSES = ("yes", "no")
SETTINGS = EvaluationSettings(resamples=200)


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
        made.append(scored_probabilities(ids, groups, actual, np.eye(2)[said], CLASSES))
    return made


def test_what_is_hard_for_both_does_not_widen_the_interval():
    before, after = models()
    places = np.arange(120)
    found = score_difference(before, after, places, SETTINGS)
    alone = score(after, places, SETTINGS).estimates["accuracy"]
    paired = found.estimates["accuracy"]
    assert paired.value == pytest.approx(
        alone.value - score(before, places, SETTINGS).estimates["accuracy"].value
    )
    assert paired.low > 0
    assert paired.high - paired.low < (alone.high - alone.low) / 1.5
    assert (found.n_images, found.n_subjects) == (120, 30)


def test_a_model_against_itself_differs_by_nothing_for_certain():
    before, _ = models()
    found = score_difference(before, before, np.arange(120), SETTINGS)
    assert {(one.value, one.low, one.high) for one in found.estimates.values()} == {(0, 0, 0)}


def test_of_one_subject_there_is_no_interval():
    before, after = models(subjects=1)
    found = score_difference(before, after, np.arange(120), SETTINGS).estimates["accuracy"]
    assert found.value is not None
    assert found.low is None


def test_a_class_of_few_subjects_has_no_interval_and_an_average_that_needs_it_a_wide_one():
    actual = np.array([0] * 57 + [1] * 3)
    groups = [str(place) for place in range(60)]
    one = scored_probabilities(groups, groups, actual, np.eye(2)[actual], CLASSES)
    found = score(one, np.arange(60), SETTINGS).estimates
    for name in ("recall_no", "f1_no", "ap_no"):
        assert (found[name].value, found[name].low, found[name].high) == (1.0, None, None), name
    for name in ("accuracy", "recall_yes", "f1_yes"):
        assert found[name].low > 0.9, name
    for name in ("f1_macro", "auc_macro", "auc_yes"):
        assert found[name].low < 0.3, name


def test_more_subjects_than_are_left_out_in_turn_are_left_out_together():
    before, after = models(count=1200, subjects=300)
    few, all_of_them = (
        score_difference(before, after, np.arange(1200), EvaluationSettings(resamples=most))
        for most in (60, 300)
    )
    one, other = (found.estimates["accuracy"] for found in (few, all_of_them))
    assert one.value == other.value
    assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.3)
