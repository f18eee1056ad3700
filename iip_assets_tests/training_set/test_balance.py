import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.training_set.balance import (
    balance_weights,
    capped_to_mean_one,
    describe_balance,
    effective_sample_size,
)

CELLS = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=80)
CAPS = st.floats(1, 20)


@given(cells=CELLS, cap=CAPS)
def test_weights_are_positive_of_mean_one_and_within_the_cap(cells, cap):
    weights = balance_weights(cells, max_weight=cap)
    assert len(weights) == len(cells)
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= cap


@given(
    raw=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50),
    cap=CAPS,
)
def test_capping_keeps_proportions_below_the_cap(raw, cap):
    raw = np.array(raw)
    weights = capped_to_mean_one(raw, cap)
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= cap
    free = weights < cap * (1 - 1e-9)
    ratio = weights[free] / raw[free]
    assert np.allclose(ratio, ratio[:1])
    # Nothing at the cap would have come out below it.
    if free.any() and not free.all():
        assert (raw[~free] * ratio[0] >= cap * (1 - 1e-6)).all()


def test_cells_weigh_alike_where_the_cap_allows():
    cells = ["a"] * 90 + ["b"] * 10
    weights = balance_weights(cells, max_weight=5)
    assert weights[:90].sum() == pytest.approx(50)
    assert weights[90:].sum() == pytest.approx(50)


def test_the_cap_holds_back_a_very_rare_cell():
    weights = balance_weights(["a"] * 99 + ["b"], max_weight=5)
    assert weights[99] == 5
    assert weights[:99] == pytest.approx(95 / 99)


def test_a_mix_is_reached():
    weights = balance_weights(["a"] * 50 + ["b"] * 50, max_weight=5, mix={"a": 0.2, "b": 0.8})
    assert weights[:50].sum() == pytest.approx(20)


def test_an_unknown_cell_weighs_as_the_average_of_the_known():
    weights = balance_weights(["a"] * 6 + ["b"] * 2 + [None] * 4, max_weight=5)
    assert weights[8:] == pytest.approx(1)


def test_all_unknown_cells_weigh_one():
    assert balance_weights([None] * 3, max_weight=5).tolist() == [1, 1, 1]
    assert balance_weights([], max_weight=5).tolist() == []


def test_a_cap_below_one_or_a_mix_with_holes_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        balance_weights(["a"], max_weight=0.9)
    with pytest.raises(ValueError, match=r"none for \['b'\]"):
        balance_weights(["a", "b"], max_weight=5, mix={"a": 1.0})


def test_effective_size_is_kishs():
    assert effective_sample_size(np.ones(7)) == pytest.approx(7)
    assert effective_sample_size(np.array([3.0, 1.0])) == pytest.approx(16 / 10)
    assert effective_sample_size(np.empty(0)) == 0
    found = describe_balance(np.array([5.0, 0.5, 0.5]), max_weight=5)
    assert (found.n_images, found.largest, found.n_capped) == (3, 5.0, 1)
