import numpy as np

from iip_assets.metrics.intervals import bootstrap_weights, estimate


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
