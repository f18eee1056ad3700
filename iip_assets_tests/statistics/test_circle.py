import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.statistics.circle import fit_disc, taubin_circle

WHOLE_FRAME = (0, 0, 319, 239)
NOTHING = np.zeros((240, 320), np.uint8)


def disc(x, y, radius):
    rows, columns = np.mgrid[:240, :320]
    return (np.hypot(columns - x, rows - y) <= radius).astype(np.uint8)


@given(
    x=st.floats(-50, 50),
    y=st.floats(-50, 50),
    radius=st.floats(1, 100),
    start=st.floats(0, 6),
    span=st.floats(0.8, 6.28),
)
def test_points_of_an_arc_give_back_their_circle(x, y, radius, start, span):
    angle = start + np.linspace(0, span, 20)
    points = np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])
    assert taubin_circle(points) == pytest.approx((x, y, radius), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(
    "points",
    [np.empty((0, 2)), np.zeros((5, 2)), np.column_stack([np.arange(9.0), 2 * np.arange(9.0)])],
    ids=["none", "one place", "a line"],
)
def test_points_on_no_circle_give_none(points):
    assert taubin_circle(points) is None


@pytest.mark.parametrize("radius", [8, 25, 90])
def test_a_whole_disc_gives_its_radius_within_a_third_of_a_pixel(radius):
    found = fit_disc(disc(160, 120, radius), beside=NOTHING, frame=WHOLE_FRAME)
    assert (found.x, found.y) == pytest.approx((160, 120), abs=0.1)
    assert found.radius_px == pytest.approx(radius, abs=0.34)
    assert found.visibility == pytest.approx(1, abs=0.03)


def test_a_disc_cut_by_the_edge_of_the_image_is_completed():
    region = disc(10, 120, 40)
    found = fit_disc(region, beside=NOTHING, frame=WHOLE_FRAME)
    assert found.radius_px == pytest.approx(40, rel=0.02)
    assert found.visibility == pytest.approx(region.sum() / (math.pi * 40**2), abs=0.02)


def test_holes_count_as_seen_and_specks_do_not():
    region = disc(160, 120, 40)
    plain = fit_disc(region, beside=NOTHING, frame=WHOLE_FRAME)
    region[115:125, 155:165] = 0
    region[5:8, 5:8] = 1
    assert fit_disc(region, beside=NOTHING, frame=WHOLE_FRAME) == plain


def test_a_few_pixels_give_no_disc():
    assert fit_disc(disc(160, 120, 2), beside=NOTHING, frame=WHOLE_FRAME) is None
    assert fit_disc(NOTHING, beside=NOTHING, frame=WHOLE_FRAME) is None


def test_equal_regions_give_bit_equal_discs():
    region = disc(160, 120, 40)
    region[:110] = 0
    first = fit_disc(region, beside=NOTHING, frame=WHOLE_FRAME)
    assert fit_disc(region.copy(), beside=NOTHING, frame=WHOLE_FRAME) == first
