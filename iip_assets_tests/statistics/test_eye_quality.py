import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.statistics.eye_quality import EYE_MEASURES, eye_measures
from iip_assets_tests.statistics.eyes import CLASSES, drawn_mask


def measures_of(mask, luma=None, classes=CLASSES):
    luma = np.zeros_like(mask) if luma is None else luma
    return eye_measures(luma, mask, mask_classes=classes)


def visible_share(mask, radius):
    return (mask >= 2).sum() / (math.pi * radius**2)


@settings(max_examples=150, deadline=None)
@given(
    radius=st.floats(15, 60),
    hidden_above=st.floats(-0.3, 0.8),
    hidden_below=st.floats(-0.3, 0.5),
    opening=st.floats(1.3, 2),
    x=st.floats(110, 210),
    y=st.floats(90, 150),
)
def test_visibility_is_recovered_from_a_known_circle_under_known_lids(
    radius, hidden_above, hidden_below, opening, x, y
):
    mask = drawn_mask(
        x=x,
        y=y,
        radius=radius,
        pupil=radius / 3,
        upper_lid=y - radius + hidden_above * radius,
        lower_lid=y + radius - hidden_below * radius,
        opening=(opening * radius, radius),
    )
    found = measures_of(mask)
    assert found["iris_visibility"] == pytest.approx(visible_share(mask, radius), abs=0.04)
    assert found["iris_radius_px"] == pytest.approx(radius, rel=0.03)
    assert found["pupil_ratio"] == pytest.approx(1 / 3, abs=0.04)


@pytest.mark.parametrize("hidden_above", [0.0, 0.5, 1.0, 1.2])
def test_visibility_is_recovered_where_only_the_iris_is_marked(hidden_above):
    mask = drawn_mask(radius=50, pupil=0, upper_lid=70 + hidden_above * 50)
    iris_only = np.where(mask >= 2, 1, 0).astype(np.uint8)
    found = measures_of(iris_only, classes=("background", "iris"))
    assert found["iris_visibility"] == pytest.approx(visible_share(mask, 50), abs=0.04)
    assert {name for name, value in found.items() if value is None} == {
        "iris_sclera_contrast", "iris_pupil_contrast", "pupil_ratio", "gaze_x", "gaze_y",
    }  # fmt: skip


def test_an_iris_cut_by_the_edge_counts_what_is_missing_and_has_a_negative_margin():
    mask = drawn_mask(x=20, radius=50, pupil=15)
    found = measures_of(mask)
    assert found["iris_visibility"] == pytest.approx(visible_share(mask, 50), abs=0.03)
    assert found["iris_margin"] == pytest.approx((20 - 50) / 50, abs=0.03)


def test_the_margin_is_in_radii():
    assert measures_of(drawn_mask(radius=40))["iris_margin"] == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize(
    ("shift_x", "shift_y", "gaze"),
    [
        (0, 0, (0, 0)),
        (-44, 0, (-0.4, 0)),
        (44, 0, (0.4, 0)),
        (0, 21, (0, 0.3)),
        (0, -21, (0, -0.3)),
    ],
    ids=["ahead", "left", "right", "down", "up"],
)
def test_gaze_is_where_the_iris_stands_in_the_opening(shift_x, shift_y, gaze):
    opening = drawn_mask(radius=0, pupil=0, opening=(110, 70)) > 0
    iris = drawn_mask(x=160 + shift_x, y=120 + shift_y, radius=30, pupil=10)
    mask = np.where(iris >= 2, iris, opening.astype(np.uint8))
    found = measures_of(mask)
    assert (found["gaze_x"], found["gaze_y"]) == pytest.approx(gaze, abs=0.02)


def test_contrasts_come_from_medians_and_not_from_glints():
    mask = drawn_mask()
    luma = np.choose(mask, [0, 180, 60, 20]).astype(np.uint8)
    luma[110:116, 160:166] = 255
    found = measures_of(mask, luma)
    assert found["iris_sclera_contrast"] == pytest.approx((180 - 60) / (180 + 60))
    weber = (60 - 20) / (20 + 20)
    assert found["iris_pupil_contrast"] == pytest.approx(weber / (0.75 + weber))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 255), min_size=10, max_size=60))
def test_medians_are_those_of_numpy(values):
    row = np.array([values], np.uint8)
    mask = np.ones_like(row)
    iris = np.full((1, len(values)), 2, np.uint8)
    luma = np.vstack([row, np.full_like(row, 100)])
    found = measures_of(np.vstack([mask, iris]), luma)
    median = float(np.median(row))
    assert found["iris_sclera_contrast"] == pytest.approx(abs(median - 100) / (median + 100))


def test_without_a_mask_nothing_is_known():
    luma = np.zeros((10, 10), np.uint8)
    assert eye_measures(luma, None, mask_classes=CLASSES) == dict.fromkeys(EYE_MEASURES)


def test_a_mask_without_an_eye_shows_no_iris():
    found = measures_of(np.zeros((240, 320), np.uint8))
    assert found.pop("iris_visibility") == 0
    assert set(found.values()) == {None}


def test_an_eye_rolled_away_shows_no_iris_but_sclera():
    mask = (drawn_mask() > 0).astype(np.uint8)
    assert measures_of(mask)["iris_visibility"] == 0


def test_classes_are_found_by_name_and_not_by_index():
    mask = drawn_mask()
    order = ("pupil", "background", "iris", "sclera")
    renamed = np.array([1, 3, 2, 0], np.uint8)[mask]
    assert measures_of(renamed, classes=order) == measures_of(mask)


def test_a_set_that_marks_no_iris_has_no_eye_measures():
    assert measures_of(drawn_mask(), classes=("background", "sclera")) == dict.fromkeys(
        EYE_MEASURES
    )
