import numpy as np
import pytest

from iip_assets.statistics.border import BORDER_MEASURES
from iip_assets.statistics.measure import measure
from iip_assets_tests.statistics.eyes import CLASSES, drawn_mask


def measures_of(rgb, mask=None, classes=CLASSES):
    found = measure(rgb, mask, mask_classes=classes)
    return {name: found[name] for name in BORDER_MEASURES}


def grey(level, height=120, width=160):
    return np.full((height, width, 3), level, np.uint8)


def test_a_plain_wall_has_no_edges_and_its_own_colour():
    rgb = np.full((120, 160, 3), (200, 120, 120), np.uint8)
    found = measures_of(rgb)
    assert found["background_edges"] == 0
    assert found["background_red_green"] > 10
    assert found["background_brightness"] == pytest.approx(144, abs=1)


def test_stripes_along_the_border_are_edges_and_an_eye_in_the_middle_is_not():
    striped, centred = grey(100), grey(100)
    striped[:, ::4] = 160
    centred[40:80, 50:110:4] = 255
    assert measures_of(striped)["background_edges"] > 0.7
    assert measures_of(centred)["background_edges"] == 0


def test_the_same_scene_in_half_the_light_has_the_same_edges():
    rgb = grey(160)
    rgb[:, ::10] = 220
    assert measures_of(rgb)["background_edges"] == pytest.approx(
        measures_of(rgb // 2)["background_edges"]
    )


def test_a_marked_eye_that_reaches_the_frame_is_no_background():
    rgb = grey(100)
    mask = drawn_mask(height=120, width=160, x=20, y=60, radius=18, pupil=6, opening=(30, 20))
    rgb[(mask > 0) & (np.arange(160) % 4 == 0)] = 255
    assert measures_of(rgb)["background_edges"] > 0.05
    assert measures_of(rgb, mask)["background_edges"] == 0


def test_what_is_not_labelled_is_no_background_and_has_no_lids_around_it():
    rgb = grey(100)
    rgb[:, :40:4] = 255
    mask = np.zeros((120, 160), np.uint8)
    mask[:, :42] = 255
    assert measures_of(rgb, mask)["background_edges"] == 0
    mask[:, :] = 255
    assert set(measures_of(rgb, mask).values()) == {None}


def test_an_eye_that_fills_the_image_leaves_the_background_unknown():
    mask = np.full((120, 160), 2, np.uint8)
    assert measures_of(grey(100), mask) == dict.fromkeys(BORDER_MEASURES)


def test_the_background_is_found_by_its_name():
    rgb = grey(100)
    rgb[:, ::4] = 160
    mask = np.ones((120, 160), np.uint8)
    swapped = ("iris", "background")
    assert measures_of(rgb, mask, swapped) == measures_of(rgb)
