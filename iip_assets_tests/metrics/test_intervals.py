"""Intervals over subjects against other implementations, and how often they hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from iip_assets.metrics.intervals import (
    LEAST_SUBJECTS,
    chance_above,
    estimate,
    estimate_difference,
    holm,
    replicates,
    share_estimate,
    wilson,
)
from iip_assets.settings import EvaluationSettings
from iip_assets_tests.metrics.simulated import Cell, covered

SETTINGS = EvaluationSettings()
Z = stats.norm.ppf(0.975)


def of_mean(values, groups, make=estimate, **options):
    made = replicates(groups, SETTINGS)
    means = (made.weights @ values) / np.maximum(made.weights.sum(1), 1e-300)
    return make(means, made.sizes, **{"confidence": 0.95, **options})


@pytest.mark.parametrize("n", [1, 5, 10, 57])
@pytest.mark.parametrize("hits", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilsons_interval_is_that_of_statsmodels(hits, n, confidence):
    theirs = proportion_confint(hits * n, n, alpha=1 - confidence, method="wilson")
    ours = wilson(hits, n, stats.norm.ppf((1 + confidence) / 2))
    assert ours == pytest.approx(theirs, abs=1e-12)


def test_a_difference_of_single_images_has_the_paired_t_interval():
    change = np.random.default_rng(0).uniform(-0.2, 0.4, 30)
    found = of_mean(change, [str(place) for place in range(30)], estimate_difference)
    theirs = stats.ttest_1samp(change, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


def test_the_chance_of_being_no_worse_is_that_of_the_one_sided_t_test():
    change = np.random.default_rng(0).uniform(-0.4, 0.2, 30)
    made = replicates([str(place) for place in range(30)], SETTINGS)
    values = (made.weights @ change) / made.weights.sum(1)
    p = chance_above(values, made.sizes, bound=-0.02)
    theirs = stats.ttest_1samp(change, -0.02, alternative="less").pvalue
    assert p == pytest.approx(theirs)


@pytest.mark.parametrize("sizes", [[4] * 12, list(range(1, 13))], ids=["equal", "unequal"])
def test_the_standard_error_is_that_of_leaving_each_subject_out(sizes):
    rng = np.random.default_rng(0)
    values = [rng.normal(rng.normal(), 1, size) for size in sizes]
    whole = np.concatenate(values).mean()
    without = [
        np.concatenate(values[:place] + values[place + 1 :]).mean() for place in range(len(sizes))
    ]
    error = np.sqrt((len(sizes) - 1) / len(sizes) * ((np.array(without) - whole) ** 2).sum())
    groups = [str(place) for place, size in enumerate(sizes) for _ in range(size)]
    found = of_mean(np.concatenate(values), groups, estimate_difference)
    quantile = (found.high - found.low) / 2 / error
    # Student's, of as many degrees of freedom as there are subjects but one, or of fewer.
    assert stats.t.ppf(0.975, 11) - 1e-9 <= quantile <= stats.t.ppf(0.975, 4)


@pytest.mark.parametrize("count", [1, 3, LEAST_SUBJECTS - 1])
def test_of_fewer_than_five_subjects_there_is_no_interval(count):
    found = of_mean(np.ones(2 * count), [str(place % count) for place in range(2 * count)])
    assert (found.value, found.low, found.high) == (1, None, None)


@pytest.mark.parametrize("count", [5, 20])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_where_all_are_alike_wilsons_interval_is_of_as_many_images_as_subjects(count, level):
    found = of_mean(np.full(3 * count, level), [str(place % count) for place in range(3 * count)])
    expected = wilson(level, count, stats.t.ppf(0.975, count - 1))
    assert (found.low, found.high) == pytest.approx(expected)


def test_a_metric_of_another_unit_has_the_interval_of_its_share_of_the_largest():
    values, groups = np.array([0, 5, 0, 0, 5, 0.0]), list("abcdef")
    one, other = of_mean(values / 5, groups), of_mean(values, groups, largest=5)
    assert (other.low, other.high) == pytest.approx((5 * one.low, 5 * one.high))


def test_images_of_few_people_make_a_wide_interval():
    values = np.repeat(np.random.default_rng(0).random(10), 20)
    by_person = of_mean(values, [str(index // 20) for index in range(200)])
    by_image = of_mean(values, [str(index) for index in range(200)])
    assert by_person.high - by_person.low > 2.5 * (by_image.high - by_image.low)


def test_replicates_leave_subjects_out_and_show_each_alone_in_whatever_order():
    groups = ["b", "a", "b", "c", "a"]
    made = replicates(groups, SETTINGS)
    assert made.weights[:, [1, 0, 3]].tolist() == [
        *([1, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]),
        *([1, 0, 0], [0, 1, 0], [0, 0, 1]),
    ]
    assert made.sizes.tolist() == [2, 2, 1]
    other = replicates(groups[::-1], SETTINGS)
    assert (other.weights[:, ::-1] == made.weights).all()


def test_many_subjects_are_put_into_parts_by_name():
    groups = [f"{place % 200}" for place in range(600)]
    made = replicates(groups, EvaluationSettings(resamples=50))
    assert made.weights.shape == (101, 600)
    assert set(made.sizes) == {12}
    parts = made.weights[51:].argmax(0)
    assert all(parts[place] == parts[place + 200] for place in range(400))


def test_a_value_without_variation_between_subjects_is_a_difference_for_certain_only_at_none():
    groups = list("abcdefgh")
    same = of_mean(np.zeros(8), groups, estimate_difference)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    every = of_mean(np.ones(8), groups, estimate_difference)
    assert every.low == pytest.approx(1 - stats.t.ppf(0.975, 7) / 8)


def test_what_is_undefined_has_no_estimate():
    assert share_estimate(np.zeros(0), np.zeros(0), confidence=0.95).value is None
    found = estimate(np.full(13, np.nan), np.ones(6), confidence=0.95)
    assert (found.value, found.low) == (None, None)


@pytest.mark.parametrize(
    "cell",
    [
        Cell("share", 5, "20", 0.3, 0.9),
        Cell("share", 10, "20", 0.7, 0.9),
        Cell("share", 20, "20", 0.7, 0.97),
        Cell("share", 20, "1 to 20", 0.3, 0.5),
        Cell("IoU", 5, "5", 0.3, 0.8),
        Cell("IoU", 7, "1 to 20", 0.7, 0.8),
        Cell("IoU", 20, "1", 0.0, 0.9),
        Cell("IoU, some 0", 20, "5", 0.3, 0.8),
        Cell("difference", 20, "5", 0.3, 0.5),
        Cell("mean class IoU", 20, "1 to 20", 0.3, 0.8),
    ],
    ids=lambda cell: f"{cell.metric} {cell.subjects} {cell.images} {cell.alike} {cell.level}",
)
def test_the_interval_holds_the_truth_as_often_as_it_says(cell):
    """Three standard errors are luck; `benchmarks/interval_coverage.py` goes through all cells."""
    trials = 200 if cell.metric == "mean class IoU" else 600
    found = covered(cell, trials=trials, seed=0)
    assert found.trials == trials
    luck = 3 * np.sqrt(0.05 * 0.95 / trials)
    assert found.now >= 0.935 - luck
    # Shares near the ends cannot be held more closely by so few subjects.
    assert found.now <= (1 if "share" in cell.metric else 0.965 + luck)


def test_the_percentile_bootstrap_over_few_subjects_does_not():
    found = covered(Cell("share", 10, "20", 0.7, 0.9), trials=300, seed=0, before=True)
    assert found.before < 0.88 < 0.93 < found.now


def test_what_is_wrong_between_subjects_alone_is_not_taken_for_certain():
    """Each subject alone is ranked without a fault; all together are not."""
    rng = np.random.default_rng(0)
    values = np.concatenate([[0.8], 0.8 - rng.normal(0, 0.04, 30), np.ones(30)])
    found = estimate(values, np.full(30, 4.0), confidence=0.95)
    error = np.sqrt(29 / 30 * ((values[0] - values[1:31]) ** 2).sum())
    expected = wilson(0.8, 0.16 / error**2, stats.t.ppf(0.975, 29))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.01)


def test_a_difference_that_hardly_varies_has_an_interval_still():
    values = np.array([1e-100, 0.9e-100, 1.1e-100, *[1e-100] * 3, *[1.2e-100] * 5])
    found = estimate_difference(values, np.ones(5), confidence=0.95)
    assert found.low <= found.value <= found.high


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=12))
def test_adjusted_p_values_are_those_of_statsmodels(p_values):
    from statsmodels.stats.multitest import multipletests

    found, asked = holm(np.array(p_values)), [one for one in p_values if one == one]
    wanted = multipletests(asked, method="holm")[1] if asked else []
    assert found[~np.isnan(found)] == pytest.approx(wanted)
    assert np.array_equal(np.isnan(found), np.isnan(np.array(p_values)))
