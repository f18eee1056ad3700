import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from iip_assets.statistics.measure import MEASURES, measure
from iip_assets.statistics.pixels import BORDER_MEASURES, noise_sigma, unevenness
from iip_assets.statistics.planes import noise_triples, to_normal_size
from iip_assets_tests.statistics.eyes import CLASSES, drawn_mask


def uniform(colour, height=60, width=80):
    return np.full((height, width, 3), colour, np.uint8)


def grey(level):
    return uniform(level, 120, 160)


def textured(height, width, seed=0):
    """A smooth random scene that is the same at every resolution."""
    small = np.random.default_rng(seed).integers(0, 256, (12, 16, 1), dtype=np.uint8)
    grey = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.repeat(grey[:, :, None], 3, axis=2)


def measures_of(rgb):
    return measure(rgb, None, mask_classes=CLASSES)


def noise_of(luma):
    (sigma,) = noise_sigma(noise_triples(luma)[None])
    return sigma


def sharpness_of(luma):
    return measures_of(np.repeat(luma[:, :, None], 3, axis=2))["sharpness"]


@pytest.mark.parametrize("level", [0, 3, 128, 255])
def test_a_uniform_grey_image_has_its_brightness_and_nothing_else(level):
    found = measures_of(uniform(level))
    assert found["brightness"] == pytest.approx(level)
    for name in ("contrast", "colour_cast", "saturation", "unevenness", "sharpness", "noise"):
        assert found[name] == pytest.approx(0, abs=1e-12), name
    assert found["clipped_shadows"] == (level <= 5)
    assert found["clipped_highlights"] == (level >= 250)


def test_clipping_is_the_share_of_the_image_at_either_end():
    rgb = uniform(128, 120, 160)
    rgb[:, :40] = 0
    rgb[:, 144:] = 255
    found = measures_of(rgb)
    assert found["clipped_shadows"] == pytest.approx(0.25)
    assert found["clipped_highlights"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("colour", "measure_name", "sign"),
    [
        ((200, 100, 100), "cast_red_green", 1),
        ((100, 200, 100), "cast_red_green", -1),
        ((200, 200, 100), "cast_yellow_blue", 1),
        ((100, 100, 200), "cast_yellow_blue", -1),
    ],
    ids=["red", "green", "yellow", "blue"],
)
def test_a_cast_has_the_sign_of_its_colour(colour, measure_name, sign):
    found = measures_of(uniform(colour))
    assert sign * found[measure_name] > 10
    cast = math.hypot(found["cast_red_green"], found["cast_yellow_blue"])
    assert found["colour_cast"] == pytest.approx(cast)


def test_saturation_is_one_for_pure_red():
    assert measures_of(uniform((255, 0, 0)))["saturation"] == 1


@pytest.mark.parametrize("sigma", [2.0, 5.0, 12.0])
@pytest.mark.parametrize("size", [(240, 320), (90, 130)], ids=["320 px", "130 px"])
def test_gaussian_noise_is_recovered_within_a_tenth(sigma, size):
    rng = np.random.default_rng(1)
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    ramp = 100 + 0.2 * x + 0.1 * y
    noisy = np.clip(np.rint(ramp + rng.normal(0, sigma, size)), 0, 255).astype(np.uint8)
    assert noise_of(noisy) == pytest.approx(sigma, rel=0.1)


def test_noise_is_not_known_of_an_image_without_an_inner_pixel():
    assert noise_of(np.zeros((2, 50), np.uint8)) is None
    assert noise_of(np.zeros((50, 2), np.uint8)) is None


@pytest.mark.parametrize("size", [(120, 160), (480, 640)], ids=["160 px", "640 px"])
def test_more_blur_is_always_less_sharp(size):
    rng = np.random.default_rng(2)
    grey = rng.integers(0, 256, size, dtype=np.uint8)
    scale = size[1] / 160
    values = [sharpness_of(grey)]
    for sigma in (0.5, 1, 2, 4):
        values.append(sharpness_of(cv2.GaussianBlur(grey, (0, 0), sigma * scale)))
    assert values == sorted(values, reverse=True)
    assert values[0] > 10 * values[-1] > 0


@pytest.mark.parametrize("name", ["sharpness", "brightness", "contrast", "unevenness"])
def test_a_scene_measures_alike_at_two_resolutions(name):
    small, large = measures_of(textured(240, 320)), measures_of(textured(720, 960))
    assert large[name] == pytest.approx(small[name], rel=0.05)


def test_unevenness_is_the_contrast_between_opposite_corners():
    x, y = np.meshgrid(np.linspace(0, 1, 320), np.linspace(0, 1, 240))
    light = np.rint(60 + 60 * x + 60 * y).astype(np.uint8)
    # Corners of 60 and 180: (180 - 60) / (180 + 60).
    assert unevenness(to_normal_size(light)) == pytest.approx(0.5, abs=0.01)


def test_a_dark_disc_in_the_middle_is_no_uneven_light():
    grey = np.full((120, 160), 200, np.uint8)
    cv2.circle(grey, (80, 60), 40, 10, -1)
    assert unevenness(grey) < 0.02


@pytest.mark.parametrize(
    ("shape", "normal"),
    [((240, 320), (120, 160)), ((7, 3), (160, 69)), ((1, 1), (160, 160)), ((1, 5000), (1, 160))],
    ids=["larger", "smaller", "one pixel", "one row"],
)
def test_the_normal_size_has_a_long_side_of_160(shape, normal):
    assert to_normal_size(np.zeros(shape, np.uint8)).shape == normal


@settings(max_examples=60, deadline=None)
@given(data=st.data(), height=st.integers(1, 40), width=st.integers(1, 40))
def test_any_image_and_mask_give_finite_numbers_or_nulls(data, height, width):
    rgb = data.draw(arrays(np.uint8, (height, width, 3)))
    mask = data.draw(
        st.none() | arrays(np.uint8, (height, width), elements=st.sampled_from([0, 1, 2, 3, 255]))
    )
    check_finite(measure(rgb, mask, mask_classes=CLASSES))


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 161), (700, 319)])
def test_images_of_odd_shapes_give_finite_numbers_or_nulls(shape):
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    mask = rng.integers(0, 4, shape, dtype=np.uint8)
    check_finite(measure(rgb, None, mask_classes=CLASSES))
    check_finite(measure(rgb, mask, mask_classes=CLASSES))


SHARES = (
    "saturation", "clipped_shadows", "clipped_highlights", "unevenness", "background_edges",
    "iris_visibility", "iris_sclera_contrast", "iris_pupil_contrast", "pupil_ratio",
)  # fmt: skip


def check_finite(found):
    assert tuple(found) == MEASURES
    for name, value in found.items():
        assert value is None or (type(value) is float and math.isfinite(value)), (name, value)
    for name in SHARES:
        assert found[name] is None or 0 <= found[name] <= 1, name


def border_of(rgb, mask=None, classes=CLASSES):
    found = measure(rgb, mask, mask_classes=classes)
    return {name: found[name] for name in BORDER_MEASURES}


def test_a_plain_wall_has_no_edges_and_its_own_colour():
    found = border_of(grey((200, 120, 120)))
    assert found["background_edges"] == 0
    assert found["background_red_green"] > 10
    assert found["background_brightness"] == pytest.approx(144, abs=1)


def test_stripes_along_the_border_are_edges_and_an_eye_in_the_middle_is_not():
    striped, centred = grey(100), grey(100)
    striped[:, ::4] = 160
    centred[40:80, 50:110:4] = 255
    assert border_of(striped)["background_edges"] > 0.7
    assert border_of(centred)["background_edges"] == 0


def test_the_same_scene_in_half_the_light_has_the_same_edges():
    rgb = grey(160)
    rgb[:, ::10] = 220
    assert border_of(rgb)["background_edges"] == pytest.approx(
        border_of(rgb // 2)["background_edges"]
    )


def test_a_marked_eye_that_reaches_the_frame_is_no_background():
    rgb = grey(100)
    mask = drawn_mask(height=120, width=160, x=20, y=60, radius=18, pupil=6, opening=(30, 20))
    rgb[(mask > 0) & (np.arange(160) % 4 == 0)] = 255
    assert border_of(rgb)["background_edges"] > 0.05
    assert border_of(rgb, mask)["background_edges"] == 0


def test_what_is_not_labelled_is_no_background_and_has_no_lids_around_it():
    rgb = grey(100)
    rgb[:, :40:4] = 255
    mask = np.zeros((120, 160), np.uint8)
    mask[:, :42] = 255
    assert border_of(rgb, mask)["background_edges"] == 0
    mask[:, :] = 255
    assert set(border_of(rgb, mask).values()) == {None}


def test_an_eye_that_fills_the_image_leaves_the_background_unknown():
    mask = np.full((120, 160), 2, np.uint8)
    assert border_of(grey(100), mask) == dict.fromkeys(BORDER_MEASURES)


def test_the_background_is_found_by_its_name():
    rgb = grey(100)
    rgb[:, ::4] = 160
    mask = np.ones((120, 160), np.uint8)
    swapped = ("iris", "background")
    assert border_of(rgb, mask, swapped) == border_of(rgb)
