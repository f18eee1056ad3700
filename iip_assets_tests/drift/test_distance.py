"""Distances with known values, and the distance that chance gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.drift.distance import (
    distance_by_chance,
    jensen_shannon,
    normed_wasserstein,
)

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


def chance(n_before, n_after, per_subject, seed=0):
    rng = np.random.default_rng(1)
    n = n_before + n_after
    subjects = np.arange(n) // per_subject
    values = rng.normal(size=n)[subjects]
    return distance_by_chance(
        normed_wasserstein, values[:n_before], values[n_before:], subjects, seed=seed
    )


def test_chance_gives_small_batches_larger_distances():
    assert chance(300, 10, 1) > 2 * chance(300, 300, 1)


def test_ten_images_of_one_person_count_as_one_and_not_as_ten():
    assert chance(300, 100, 10) > 1.8 * chance(300, 100, 1)


def test_the_draws_follow_the_seed():
    assert chance(50, 20, 1, seed=1) == chance(50, 20, 1, seed=1)
    assert chance(50, 20, 1, seed=1) != chance(50, 20, 1, seed=2)


def test_batches_that_did_not_move_exceed_chance_about_once_in_a_hundred():
    rng = np.random.default_rng(0)
    exceeded = 0
    for seed in range(60):
        before, after = rng.normal(size=60), rng.normal(size=20)
        limit = distance_by_chance(normed_wasserstein, before, after, np.arange(80), seed=seed)
        exceeded += normed_wasserstein(before, after) > limit
    # Binomial(60, 0.01) is above 4 with a probability of 0.0003.
    assert exceeded <= 4
