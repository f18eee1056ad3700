"""Intervals over subjects, and two models on the same images."""

from __future__ import annotations

import numpy as np
import pytest

from iip_assets.metrics.intervals import bootstrap_weights, estimate
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


def test_the_first_weighting_is_the_data_and_each_draw_takes_whole_groups():
    groups = ["b", "a", "b", "c", "a"]
    weights = bootstrap_weights(groups, resamples=50, seed=0)
    assert weights.shape == (51, 5)
    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(1) == 3).all()


def test_draws_depend_on_the_groups_and_not_on_the_order_of_images():
    one = bootstrap_weights(["x", "y", "z", "x"], resamples=20, seed=3)
    other = bootstrap_weights(["z", "x", "x", "y"], resamples=20, seed=3)
    assert (one[:, [2, 0, 3, 1]] == other).all()
    assert (one != bootstrap_weights(["x", "y", "z", "x"], resamples=20, seed=4)).any()


def interval_of_mean(values, groups, seed=0):
    weights = bootstrap_weights(groups, resamples=400, seed=seed)
    return estimate((weights @ values) / weights.sum(1), confidence=0.95)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(120):
        values = rng.random(60)
        one = interval_of_mean(values, [str(i) for i in range(60)], seed=trial)
        covered += one.low <= 0.5 <= one.high
    assert 0.88 <= covered / 120 <= 0.99


def test_images_of_few_people_make_a_wide_interval():
    rng = np.random.default_rng(0)
    values = np.repeat(rng.random(10), 20)
    people = [str(index // 20) for index in range(200)]
    alone = [str(index) for index in range(200)]
    by_person, by_image = interval_of_mean(values, people), interval_of_mean(values, alone)
    assert by_person.high - by_person.low > 2.5 * (by_image.high - by_image.low)


def test_there_is_no_interval_where_most_draws_leave_the_metric_undefined():
    values = np.array([0.5, 0.4, np.nan, np.nan, np.nan])
    one = estimate(values, confidence=0.95)
    assert (one.value, one.low, one.high) == (0.5, None, None)
    assert estimate(values[2:], confidence=0.95).value is None


def test_without_draws_there_is_a_value_and_no_interval():
    one = estimate(np.array([0.3]), confidence=0.95)
    assert (one.value, one.low, one.high) == (0.3, None, None)
