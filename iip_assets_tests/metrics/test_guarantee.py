import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mapie.risk_control import control_fwer

from iip_assets.metrics.guarantee import (
    THRESHOLDS,
    betting_p_values,
    guarantee,
    rejected,
    subject_losses,
)

DELTA = 0.05


def losses_of(subjects, *, mean=3.0, seed=0):
    """Of subjects with one to four images whose scores resemble each other."""
    rng = np.random.default_rng(seed)
    owner = np.repeat(np.arange(subjects), rng.integers(1, 5, subjects))
    logits = mean + rng.normal(0, 1, subjects)[owner] + rng.normal(0, 1, len(owner))
    return subject_losses(rejected(1 / (1 + np.exp(-logits))), [str(one) for one in owner])


@st.composite
def many_losses(draw):
    """Losses of a subset that grow with a handful of thresholds."""
    size = (draw(st.integers(0, 60)), 5)
    return np.sort(draw(arrays(np.float64, size, elements=st.sampled_from([0, 0, 0, 0.5, 1]))), 1)


def height(losses, floors):
    found = guarantee(losses, floors, delta=DELTA, thresholds=np.arange(1.0, 6.0), seed=0)
    return found.threshold or 0


FLOORS = st.floats(0.5, 0.99)


@settings(deadline=None, max_examples=40)
@given(many_losses(), FLOORS, FLOORS)
def test_a_stricter_floor_never_gives_a_higher_threshold(losses, one, other):
    assert height([losses], [max(one, other)]) <= height([losses], [min(one, other)])


@settings(deadline=None, max_examples=40)
@given(many_losses(), FLOORS, many_losses(), FLOORS)
def test_a_subset_more_never_gives_a_higher_threshold(losses, floor, others, other_floor):
    alone = height([losses], [floor])
    # Without enough subjects it is refused, and the other stands alone.
    enough = betting_p_values(np.zeros((len(losses), 1)), 1 - floor, DELTA)[0] <= DELTA
    if enough:
        assert height([losses, others], [floor, other_floor]) <= alone


def test_a_p_value_is_at_most_delta_in_no_more_than_delta_of_samples_at_the_floor():
    rng = np.random.default_rng(0)
    low = rng.random((100, 2000)) < 0.1
    shares = rng.beta(2, 18, (100, 2000))
    for losses in (low.astype(float), shares):
        p_values = betting_p_values(losses, 0.1, DELTA)
        assert (p_values <= DELTA).mean() <= DELTA + 0.012


def test_bets_win_as_much_as_those_that_are_placed_one_by_one():
    losses = np.random.default_rng(0).beta(1, 8, 50)
    won = best = 1.0
    mean, variance = 0.5, 0.25
    seen, squares = 0.5, 0.25
    for place, loss in enumerate(losses, start=1):
        stake = min(0.99, np.sqrt(2 * np.log(1 / DELTA) / (len(losses) * variance)))
        won *= 1 + stake * (0.2 - loss)
        best = max(best, won)
        seen += loss
        mean = seen / (place + 1)
        squares += (loss - mean) ** 2
        variance = squares / (place + 1)
    assert betting_p_values(losses[:, None], 0.2, DELTA)[0] == pytest.approx(1 / best)


def test_the_threshold_is_the_last_before_the_first_that_is_not_valid():
    losses = losses_of(300)
    found = guarantee([losses], [0.9], delta=DELTA)
    p_values = betting_p_values(losses, 1 - 0.9, DELTA)
    valid = control_fwer(p_values, DELTA, fwer_method="fixed_sequence")
    place = int(np.flatnonzero(p_values > DELTA)[0]) - 1
    assert place == valid[-1]
    assert found.threshold == THRESHOLDS[place]
    (subset,) = found.subsets
    assert subset.recall == pytest.approx(1 - losses[:, place].mean())
    assert (subset.n_subjects, subset.reason, subset.more_subjects) == (300, "", 0)


def test_a_refusal_says_how_many_more_subjects_would_be_enough():
    few = guarantee([losses_of(12)], [0.9], delta=DELTA).subsets[0]
    assert few.reason == "recall 1.000 of 12 subjects does not yet show 0.9"
    assert few.more_subjects is not None
    granted = [
        guarantee([losses_of(12 + few.more_subjects, seed=seed)], [0.9], delta=DELTA).threshold
        for seed in range(10)
    ]
    assert None not in granted


def test_no_number_of_subjects_mends_a_recall_below_the_floor():
    found = guarantee([losses_of(200, mean=-8)], [0.99], delta=DELTA).subsets[0]
    assert found.more_subjects is None
    assert "below 0.99: more subjects will not mend it" in found.reason


def test_a_subset_of_too_few_subjects_is_refused_and_leaves_the_others_alone():
    nobody, many = np.zeros((0, len(THRESHOLDS))), losses_of(300)
    found = guarantee([many, nobody], [0.9, 0.8], delta=DELTA)
    assert found.threshold == guarantee([many], [0.9], delta=DELTA).threshold
    assert (found.subsets[0].reason, found.subsets[1].recall) == ("", None)
    assert found.subsets[1].reason == "no calibration subject is in it"
    assert 14 <= (found.subsets[1].more_subjects or 0) <= 200


def test_a_subset_whose_recall_is_too_low_takes_the_others_with_it():
    found = guarantee([losses_of(300), losses_of(300, mean=-8)], [0.9, 0.9], delta=DELTA)
    assert found.threshold is None
    assert found.subsets[0].reason.startswith("it would be granted alone")
    assert "below 0.9" in found.subsets[1].reason


def test_a_subjects_loss_is_the_mean_of_its_images_whatever_their_order():
    losses = rejected(np.array([0.2, 0.6, 0.9]), np.array([0.5, 0.8]))
    found = subject_losses(losses, ["b", "a", "b"])
    assert sorted(map(tuple, found.tolist())) == [(0.0, 1.0), (0.5, 0.5)]
    turned = subject_losses(losses[::-1], ["b", "a", "b"])
    assert turned.tolist() == found.tolist()
