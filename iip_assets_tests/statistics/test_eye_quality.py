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


def contrasts_by_hand(mask, luma, iris, pupil):
    """The standard's contrasts from circles (x, y, radius), pixel by pixel in plain numpy."""
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    from_iris, from_pupil = (np.hypot(x - a, y - b) / radius for a, b, radius in (iris, pupil))
    middle = (1 + pupil[2] / iris[2]) / 2
    sclera = np.median(luma[(mask == 1) & (from_iris >= 1.1) & (from_iris <= 1.2)])
    outer = np.median(luma[(mask == 2) & (from_iris >= middle) & (from_iris <= 0.9)])
    inner = np.median(luma[(mask == 2) & (from_pupil >= 1.1) & (from_iris < middle)])
    hole = np.median(luma[(mask == 3) & (from_pupil <= 0.8)])
    weber = max(0, inner - hole) / (20 + hole)
    return max(0, sclera - outer) / (sclera + outer), weber / (0.75 + weber)


@pytest.mark.parametrize("upper_lid", [0, 100], ids=["open", "half hidden"])
@pytest.mark.parametrize("slope", [1.0, -1.0], ids=["lighter outside", "lighter inside"])
def test_contrasts_are_those_of_the_rings_by_hand(upper_lid, slope):
    """Luma rises or falls with the distance from the middle, so that other rings tell others."""
    x, y, radius, pupil = 160, 120, 50, 20
    mask = drawn_mask(x=x, y=y, radius=radius, pupil=pupil, upper_lid=upper_lid)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    away = np.hypot(columns - x, rows - y)
    luma = np.clip(120 + slope * (2 * away - 100), 0, 255).astype(np.uint8)
    found = measures_of(mask, luma)
    expected = contrasts_by_hand(mask, luma, (x, y, radius), (x, y, pupil))
    both = found["iris_sclera_contrast"], found["iris_pupil_contrast"]
    assert both == pytest.approx(expected, abs=0.02)
    assert all(value > 0.1 for value in both) if slope > 0 else both == (0, 0)


@pytest.mark.parametrize(
    ("sclera", "iris", "pupil", "expected"),
    [
        (180, 60, 20, (0.5, 1 / 1.75)),
        (180, 40, 120, (140 / 220, 0)),  # the pupil is lighter than the iris
        (100, 180, 20, (0, 4 / 4.75)),  # the iris is lighter than the sclera
        (0, 0, 0, (0, 0)),
    ],
)
def test_contrasts_keep_their_sign(sclera, iris, pupil, expected):
    mask = drawn_mask()
    found = measures_of(mask, np.choose(mask, [0, sclera, iris, pupil]).astype(np.uint8))
    both = found["iris_sclera_contrast"], found["iris_pupil_contrast"]
    assert both == pytest.approx(expected)


def test_what_lies_beside_the_rings_does_not_count():
    """A light limbus, the far sclera in a shadow, the pupil's rim."""
    mask = drawn_mask(x=160, y=120, radius=50, pupil=20)
    luma = np.choose(mask, [0, 180, 60, 20]).astype(np.uint8)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    away = np.hypot(columns - 160, rows - 120)
    plain = measures_of(mask, luma)
    for ring in (away > 62, (away > 47) & (away < 53), (away > 18) & (away < 21)):
        luma[ring] = 255
    assert measures_of(mask, luma) == plain


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
