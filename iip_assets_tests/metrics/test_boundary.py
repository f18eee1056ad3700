import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.metrics.boundary import boundary_counts
from iip_assets.metrics.functional import boundary_f1

SIDE = 200  # its diagonal is 283 px: borders may lie two pixels apart


def disc(radius, x=100, y=100):
    rows, columns = np.ogrid[:SIDE, :SIDE]
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8)


def f1(mask, predicted):
    return boundary_f1(boundary_counts(mask, predicted, 2)[None].astype(float))[0]


@given(st.integers(5, 80), st.integers(60, 140), st.integers(60, 140))
def test_a_mask_beside_itself_has_all_borders_right(radius, x, y):
    mask = disc(radius, x, y)
    assert f1(mask, mask).tolist() == [1, 1]


@pytest.mark.parametrize(("apart", "score"), [(1, 1.0), (6, 0.0)])
def test_borders_count_as_right_up_to_the_tolerance(apart, score):
    assert f1(disc(50), disc(50 + apart))[1] == pytest.approx(score, abs=0.02)


def test_equal_areas_with_other_borders_are_told_apart():
    """A thin ring that is filled loses little area and half of its border."""
    ring = disc(60) - disc(4)
    counts = boundary_counts(ring, disc(60), 2)[1]
    assert (ring != disc(60)).sum() / ring.sum() < 0.01
    assert counts[2] > counts[3]
    assert f1(ring, disc(60))[1] < 1


def test_a_class_that_is_not_found_scores_nothing_and_one_that_is_nowhere_is_undefined():
    nothing = np.zeros((SIDE, SIDE), np.uint8)
    assert f1(disc(30), nothing)[1] == 0
    assert np.isnan(f1(nothing, nothing)[1])


def test_the_border_of_what_is_not_labelled_does_not_count():
    mask = disc(50)
    half = mask.copy()
    half[:, 100:] = 255
    predicted = disc(50)
    predicted[:, 103:] = 0
    assert f1(half, predicted)[1] == pytest.approx(1, abs=0.05)
