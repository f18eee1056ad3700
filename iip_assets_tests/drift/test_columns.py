"""Which features moved."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.drift.columns import (
    FAMILY_LEVEL,
    Feature,
    change_in_words,
    compare_sides,
    distances_by_chance,
    jensen_shannon,
    normed_wasserstein,
    step_down,
    subject_codes,
)
from iip_assets_tests.drift.samples import drift_tables


def sides(**changes):
    images, splits, statistics = drift_tables(**changes)
    table = images.join(splits, on="image_id").join(statistics, on="image_id")
    newest = pl.col("batch") == "c"
    return table.filter(~newest & (pl.col("split") == "train")), table.filter(newest)


def compare(reference, current, **changes):
    options = {
        "numbers": ["brightness", "contrast", "age_years"],
        "threshold": 0.1,
        "min_images": 5,
        "seed": 0,
    }
    return compare_sides(reference, current, **(options | changes))


def by_name(result):
    return {column["name"]: column for column in result.columns}


def test_what_was_moved_is_found_and_comes_first_and_the_rest_is_not():
    result = compare(*sides(darker=1.5, label_shift=0.6))
    moved = [column["name"] for column in result.columns if column["moved"]]
    assert sorted(moved) == ["brightness", "label"]
    assert [column["name"] for column in result.columns[:2]] == moved


def test_nothing_moved_means_no_feature_moved_even_in_a_batch_of_ten():
    reference, current = sides()
    assert not any(column["moved"] for column in compare(reference, current).columns)
    small = compare(reference, current.head(10))
    # The bare threshold would have called some of them moved.
    assert any(column["score"] > 0.1 for column in small.columns)
    assert not any(column["moved"] for column in small.columns)


def test_how_much_a_number_moved_is_told_in_its_own_unit():
    column = by_name(compare(*sides(darker=1.0)))["brightness"]
    assert column["mean_reference"] - column["mean_current"] == pytest.approx(20, abs=6)
    assert sum(column["shares_current"]) == pytest.approx(1)
    assert len(column["edges"]) == len(column["shares_reference"]) + 1


def test_an_unknown_word_is_a_word_so_a_batch_without_a_gender_has_moved():
    reference, current = sides()
    current = current.with_columns(gender=pl.lit(None, dtype=pl.String))
    column = by_name(compare(reference, current))["gender"]
    assert column["moved"]
    assert "unknown" in column["words"]
    assert change_in_words(column) == "unknown 0% → 100%"


def test_a_constant_on_both_sides_did_not_move():
    column = by_name(compare(*sides()))["device"]
    assert (column["score"], column["moved"]) == (0.0, False)


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        (["nowhere"], "no such column"),
        (["iris_visibility"], "too few known values: 0 before"),
        (["gender"], "not numbers"),
    ],
)
def test_what_cannot_be_compared_is_listed_with_the_reason(numbers, reason):
    result = compare(*sides(), numbers=numbers, words=[])
    assert result.columns == []
    assert reason in result.not_compared[0]["reason"]


def test_words_that_nobody_knows_are_not_compared():
    result = compare(*sides())
    assert [record["name"] for record in result.not_compared] == ["ethnicity"]


def test_a_batch_below_the_least_size_is_not_compared():
    reference, current = sides()
    assert compare(reference, current.head(4)).columns == []
    assert len(compare(reference, current.head(5)).columns) == 8


def test_numbers_that_are_missing_or_infinite_are_left_out_and_counted():
    reference, current = sides()
    holes = pl.Series([None, float("nan"), float("inf")] + [100.0] * (current.height - 3))
    column = by_name(compare(reference, current.with_columns(brightness=holes)))["brightness"]
    assert column["n_current"] == current.height - 3
    assert column["mean_current"] == 100.0


def test_the_order_of_images_does_not_matter_for_the_scores():
    reference, current = sides(darker=1.0)
    forward, backward = compare(reference, current), compare(reference, current.reverse())
    scores = [{c["name"]: c["score"] for c in r.columns} for r in (forward, backward)]
    assert scores[0] == scores[1]


def test_unknown_subjects_are_people_of_their_own():
    frame = pl.DataFrame({"image_id": ["1", "2", "3", "4"], "subject_id": ["s", "s", None, None]})
    codes = subject_codes(frame.head(2), frame.tail(2))
    assert codes[0] == codes[1]
    assert len(set(codes.tolist())) == 3


codes = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(
    lambda values: np.array(values, dtype=float)
)


def test_a_shift_by_one_standard_deviation_is_a_distance_of_one():
    before = np.array([0.0, 2.0, 4.0, 6.0])
    assert normed_wasserstein(before, before + before.std()) == pytest.approx(1)


def test_a_constant_that_moves_does_not_divide_by_zero():
    assert normed_wasserstein(np.ones(5), np.full(5, 1.5)) == pytest.approx(500)


def test_words_that_nobody_shares_are_the_root_of_ln_2_apart():
    assert jensen_shannon(np.zeros(3), np.ones(9)) == pytest.approx(math.sqrt(math.log(2)))


@given(codes, codes)
def test_the_jensen_shannon_distance_is_symmetric_bounded_and_never_nan(before, after):
    distance = jensen_shannon(before, after)
    assert distance == pytest.approx(jensen_shannon(after, before), abs=1e-7)
    assert 0 <= distance <= math.sqrt(math.log(2)) + 1e-9


@given(codes, st.integers(1, 5))
def test_equal_shares_have_no_distance_however_many_images_there_are(before, times):
    assert jensen_shannon(before, np.repeat(before, times)) == pytest.approx(0, abs=1e-7)


def limits_of(features, subjects, n_after, seed, seen=None):
    """What chance gives; of what was seen, if that is told."""
    draws = distances_by_chance(features, subjects, n_after, seed=seed)
    seen = np.zeros(len(features)) if seen is None else np.array(seen)
    return step_down(seen, draws, FAMILY_LEVEL)[0]


def chance(n_before, n_after, per_subject, seed=0):
    rng = np.random.default_rng(1)
    n = n_before + n_after
    subjects = np.arange(n) // per_subject
    values = rng.normal(size=n)[subjects]
    return limits_of([Feature({}, normed_wasserstein, values)], subjects, n_after, seed)[0]


def test_chance_gives_small_batches_larger_distances():
    assert chance(300, 10, 1) > 2 * chance(300, 300, 1)


def test_ten_images_of_one_person_count_as_one_and_not_as_ten():
    assert chance(300, 100, 10) > 1.8 * chance(300, 100, 1)


def test_the_draws_follow_the_seed():
    assert chance(50, 20, 1, seed=1) == chance(50, 20, 1, seed=1)
    assert chance(50, 20, 1, seed=1) != chance(50, 20, 1, seed=2)


def difference_of_means(before, after):
    return abs(float(before.mean() - after.mean()))


def test_a_batch_in_which_nothing_moved_has_a_moved_feature_once_in_twenty():
    """However many features are looked at."""
    rng = np.random.default_rng(0)
    exceeded = 0
    for seed in range(40):
        features = [Feature({}, difference_of_means, rng.normal(size=80)) for _ in range(10)]
        distances = [difference_of_means(f.values[:60], f.values[60:]) for f in features]
        limits = limits_of(features, np.arange(80), 20, seed, distances)
        exceeded += any(d > limit for d, limit in zip(distances, limits, strict=True))
    # Binomial(40, 0.05) is above 7 with a probability of 0.0007; ten judged alone would give 16.
    assert exceeded <= 7


def test_features_that_say_the_same_cost_no_more_than_one():
    one = Feature({}, normed_wasserstein, np.random.default_rng(0).normal(size=80))
    alone = limits_of([one], np.arange(80), 20, 3)
    assert limits_of([one] * 20, np.arange(80), 20, 3) == pytest.approx(np.repeat(alone, 20))


def test_what_has_moved_is_no_longer_among_what_chance_could_have_moved():
    rng = np.random.default_rng(0)
    features = [Feature({}, difference_of_means, rng.normal(size=80)) for _ in range(10)]
    one, all_still = 5.0, limits_of(features, np.arange(80), 20, 0)
    nine_moved = limits_of(features, np.arange(80), 20, 0, [one] * 9 + [0.0])
    assert nine_moved[9] < all_still[9]
    assert (nine_moved <= all_still + 1e-12).all()


def test_a_value_that_is_not_known_is_on_neither_side():
    values = np.random.default_rng(0).normal(size=80)
    values[[3, 70]] = np.nan
    limits = limits_of([Feature({}, normed_wasserstein, values)], np.arange(80), 20, 0)
    assert 0 < limits[0] < 2
