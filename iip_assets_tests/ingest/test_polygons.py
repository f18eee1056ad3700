"""Polygons cover the pixels whose centres lie inside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.ingest.polygons import TooTangled, fill_polygon

H, W = 7, 9


Points = list[tuple[float, float]]


def centre_inside(points: Points, x: float, y: float) -> bool:
    """Even-odd, edge by edge: a ray to the right."""
    inside = False
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if (ay <= y) != (by <= y) and ax + (y - ay) * (bx - ax) / (by - ay) <= x:
            inside = not inside
    return inside


def centres_inside(points: Points, shift_x: float = 0, shift_y: float = 0) -> np.ndarray:
    rows = range(H)
    return np.array(
        [
            [centre_inside(points, x + 0.5 + shift_x, y + 0.5 + shift_y) for x in range(W)]
            for y in rows
        ]
    )


def fill(points) -> np.ndarray:
    return fill_polygon(np.array(points, float), height=H, width=W)


def test_a_box_on_pixel_corners_covers_just_its_pixels():
    expected = np.zeros((H, W), bool)
    expected[1:4, 2:6] = True
    assert (fill([(2, 1), (6, 1), (6, 4), (2, 4)]) == expected).all()


def test_neighbours_that_share_an_edge_share_no_pixel():
    left = fill([(0, 0), (4.5, 0), (4.5, 7), (0, 7)])
    right = fill([(4.5, 0), (9, 0), (9, 7), (4.5, 7)])
    assert (left ^ right).all()


def test_what_lies_outside_is_cut_off():
    assert fill([(-50, -50), (50, -50), (50, 50), (-50, 50)]).all()
    assert not fill([(20, 1), (30, 1), (30, 4)]).any()
    assert not fill([(-9, -9), (-1, -9), (-1, -1)]).any()


coordinates = st.one_of(st.integers(-4, 24).map(lambda n: n / 2), st.floats(-3, 12))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8))
def test_every_polygon_is_filled_as_ray_by_ray(points):
    expected = centres_inside(points)
    # A centre on an edge may fall to either side by rounding.
    shifts = [(-1e-6, 0), (1e-6, 0), (0, -1e-6), (0, 1e-6)]
    sure = np.all([centres_inside(points, *shift) == expected for shift in shifts], axis=0)
    assert (fill(points) == expected)[sure].all()


def test_a_polygon_that_would_take_hours_is_refused():
    up_and_down = np.zeros((3000, 2))
    up_and_down[::2, 1] = 10_000
    with pytest.raises(TooTangled, match="cross"):
        fill_polygon(up_and_down, height=10_000, width=4)


def test_many_crossings_are_counted_in_parts():
    """Over a million crossings: an odd number of sweeps over the image covers it."""
    sweep = [(0, 0), (0, 2000), (3, 2000), (3, 0)] * 301
    assert fill_polygon(np.array(sweep, float), height=2000, width=3).all()
