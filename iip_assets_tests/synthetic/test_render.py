from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.synthetic.eyeball import BACKGROUND, IRIS, PUPIL, SCLERA, label_of
from iip_assets.synthetic.geometry import Disc, Frame
from iip_assets.synthetic.parameters import Anatomy, Camera, EyeParameters, Light, Pose
from iip_assets.synthetic.render import Rendered, render
from iip_assets_tests.synthetic.eye_strategies import eyes, label_by_rule

SHARP = Camera(blur_px=0, noise=0.0005, vignette=0)


def luma(rendered: Rendered, where: np.ndarray) -> float:
    return float(rendered.image[where].mean())


@settings(max_examples=120, deadline=None)
@given(parameters=eyes, width=st.integers(16, 200), height=st.integers(16, 160))
def test_any_parameters_give_an_image_with_a_mask_that_holds_its_label(parameters, width, height):
    rendered = render(parameters, width=width, height=height)
    assert rendered.image.shape == (height, width, 3)
    assert rendered.mask.shape == (height, width)
    assert rendered.image.dtype == rendered.mask.dtype == np.uint8
    assert rendered.mask.max() <= PUPIL
    assert 0 <= rendered.iris_share <= 1
    assert rendered.label == label_by_rule(rendered.mask, rendered.iris_share)


@settings(max_examples=60, deadline=None)
@given(parameters=eyes)
def test_no_image_at_a_common_exposure_is_of_one_colour(parameters):
    common = replace(parameters, light=replace(parameters.light, exposure=0.7, glare=0.0))
    assert render(common).image.std() > 0.3


@settings(max_examples=25, deadline=None)
@given(parameters=eyes)
def test_equal_parameters_give_equal_bytes(parameters):
    first, second = render(parameters), render(parameters)
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.mask, second.mask)


def test_another_seed_gives_another_image_and_the_same_mask():
    first, second = render(EyeParameters(seed=1)), render(EyeParameters(seed=2))
    assert (first.image != second.image).mean() > 0.5
    np.testing.assert_array_equal(first.mask, second.mask)


def test_an_open_eye_shows_every_class_with_the_pupil_within_the_iris():
    mask = render(EyeParameters()).mask
    assert set(np.unique(mask)) == {BACKGROUND, SCLERA, IRIS, PUPIL}
    rows, columns = np.nonzero(mask == PUPIL)
    around = mask[rows.min() - 1 : rows.max() + 2, columns.min() - 1 : columns.max() + 2]
    assert set(np.unique(around)) <= {IRIS, PUPIL}


def test_a_wide_open_eye_shows_the_whole_disc_at_its_computed_area_and_place():
    anatomy = Anatomy(upper_height=0.6, lower_height=0.6)
    pose = Pose(gaze_x_rad=0.2, scale=0.4)
    rendered = render(EyeParameters(anatomy, pose), width=320, height=240)
    disc, frame = Disc.of(anatomy, pose), Frame.of(pose, 240, 320)
    seen = rendered.mask >= IRIS
    assert seen.sum() == pytest.approx(disc.area_px(frame.unit_px), rel=0.01)
    assert rendered.iris_share > 0.99
    rows, columns = np.nonzero(seen)
    x, y = frame.to_pixels(np.array(disc.centre_u), np.array(disc.centre_v))
    assert columns.mean() + 0.5 == pytest.approx(x, abs=0.6)
    assert rows.mean() + 0.5 == pytest.approx(y, abs=0.6)


def test_the_pupil_takes_its_share_of_the_iris():
    anatomy = Anatomy(upper_height=0.6, lower_height=0.6)
    mask = render(EyeParameters(anatomy, Pose(pupil_ratio=0.5)), width=320, height=240).mask
    share = (mask == PUPIL).sum() / (mask >= IRIS).sum()
    assert share == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(
    ("pose", "label"),
    [
        pytest.param(Pose(), "full", id="open"),
        pytest.param(Pose(aperture=0.3), "partial", id="nearly_closed"),
        pytest.param(Pose(aperture=0.0), "none", id="closed"),
        pytest.param(Pose(centre_x=0.02), "partial", id="cut_by_the_border"),
        pytest.param(Pose(centre_y=-1.0), "none", id="skin"),
        pytest.param(Pose(hair_only=True), "none", id="hair"),
    ],
)
def test_the_label_says_how_much_iris_is_seen(pose, label):
    assert render(EyeParameters(pose=pose)).label == label


def test_a_disc_seen_to_exactly_sixty_percent_is_full_and_one_pixel_less_is_partial():
    mask = np.zeros((40, 40), np.uint8)
    mask[10:20, 10:16] = IRIS
    assert label_of(mask, 100.0) == "full"
    mask[10, 10] = SCLERA
    assert label_of(mask, 100.0) == "partial"


def test_a_right_eye_is_a_left_eye_in_a_mirror():
    left = render(EyeParameters(pose=Pose(side="left", gaze_x_rad=0.3))).mask
    right = render(EyeParameters(pose=Pose(side="right", gaze_x_rad=0.3))).mask
    assert (left[:, ::-1] != right).mean() < 0.002


def test_glasses_and_hair_before_the_iris_are_not_iris():
    bare = render(EyeParameters(seed=4)).mask >= IRIS
    covered = [render(EyeParameters(seed=s, scenery="strand")).mask >= IRIS for s in range(30)]
    assert all(not (seen & ~bare).any() for seen in covered)
    assert min(seen.sum() for seen in covered) < 0.7 * bare.sum()


def test_darker_skin_less_light_and_more_blur_are_seen_in_the_image():
    base = EyeParameters(camera=SHARP)
    reference = render(base)
    skin = reference.mask == BACKGROUND
    dark_skin = render(replace(base, anatomy=Anatomy(skin_tone=9)))
    assert luma(dark_skin, skin) < 0.6 * luma(reference, skin)
    dim = render(replace(base, light=Light(exposure=0.5)))
    assert luma(dim, skin) == pytest.approx(0.5 * luma(reference, skin), rel=0.05)
    blurred = render(replace(base, camera=replace(SHARP, blur_px=2.5)))
    assert detail(blurred) < 0.5 * detail(reference)


def detail(rendered: Rendered) -> float:
    grey = rendered.image.mean(axis=2)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def test_the_pupil_is_darker_than_the_iris_and_the_iris_than_the_sclera():
    rendered = render(EyeParameters(camera=SHARP, light=Light(glint=0.01)))
    levels = [luma(rendered, rendered.mask == part) for part in (PUPIL, IRIS, SCLERA)]
    assert levels[0] + 15 < levels[1] < levels[2] - 15


def test_a_blue_iris_is_blue():
    blue = Anatomy(iris_rgb=(0.3, 0.45, 0.65), iris_inner_rgb=(0.4, 0.5, 0.6))
    rendered = render(EyeParameters(anatomy=blue, camera=SHARP))
    red, _, blue_level = rendered.image[rendered.mask == IRIS].mean(axis=0)
    assert blue_level > red + 20


def test_an_infrared_image_has_no_colour():
    image = render(EyeParameters(camera=Camera(monochrome=True))).image.astype(int)
    assert np.abs(image[..., 0] - image[..., 2]).max() == 0


def test_an_image_too_small_to_draw_says_so():
    with pytest.raises(ValueError, match="at least 16"):
        render(EyeParameters(), width=8, height=8)
