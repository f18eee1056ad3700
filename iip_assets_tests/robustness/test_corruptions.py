import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.robustness.corruptions import CORRUPTIONS, SEVERITIES, check_names, corrupt
from iip_assets_tests.embeddings.stand_ins import eye

names = st.sampled_from(sorted(CORRUPTIONS))


def sample(seed=0):
    return eye(np.random.default_rng(seed), 160, 120)


def error(one, other):
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_a_higher_severity_is_further_from_the_image(name):
    image, mask = cv2.medianBlur(sample()[0], 5), sample()[1]
    far = [
        error(corrupt(name, image, mask, severity=s, image_id="a", seed=0)[0], image)
        for s in SEVERITIES
    ]
    assert far[0] > 0
    assert far == sorted(far)
    assert far[-1] > 2 * far[0]


@settings(deadline=None, max_examples=40)
@given(names, st.sampled_from(SEVERITIES), st.text(max_size=8), st.integers(0, 9))
def test_one_image_is_always_corrupted_the_same_way(name, severity, image_id, seed):
    image, mask = sample()
    before = image.copy()
    one, two = (
        corrupt(name, image, mask, severity=severity, image_id=image_id, seed=seed)
        for _ in range(2)
    )
    assert (one[0] == two[0]).all()
    assert (one[1] == two[1]).all()
    assert one[0].shape == image.shape
    assert one[0].dtype == np.uint8
    assert (image == before).all()


@pytest.mark.parametrize("name", ["rotation", "colour_filter", "noise"])
def test_another_image_or_seed_draws_anew(name):
    image, mask = sample()
    drawn = {
        corrupt(name, image, mask, severity=3, image_id=image_id, seed=seed)[0].tobytes()
        for image_id in "abcd"
        for seed in (0, 1)
    }
    assert len(drawn) > 1


@pytest.mark.parametrize("name", sorted(set(CORRUPTIONS) - {"rotation"}))
def test_what_moves_no_pixel_leaves_the_mask(name):
    image, mask = sample()
    assert corrupt(name, image, mask, severity=5, image_id="a", seed=0)[1] is mask


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_mask_turns_with_the_image(severity):
    image = np.zeros((120, 160, 3), np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    image[50:70, 40:120] = 255
    mask[50:70, 40:120] = 1
    turned, turned_mask = corrupt("rotation", image, mask, severity=severity, image_id="a", seed=0)
    known = turned_mask != 255
    bright = turned[:, :, 0] > 127
    overlap = (bright & (turned_mask == 1)).sum() / ((bright | (turned_mask == 1)) & known).sum()
    assert overlap > 0.95
    assert (turned_mask != mask).any()
    assert set(np.unique(turned_mask)) <= {0, 1, 255}


def test_an_image_without_a_mask_can_be_turned():
    assert corrupt("rotation", sample()[0], None, severity=2, image_id="a", seed=0)[1] is None


@pytest.mark.parametrize(("name", "severity"), [("fog", 1), ("blur", 0), ("blur", 6)])
def test_what_there_is_not_is_refused(name, severity):
    with pytest.raises(ValueError, match=r"known are .*blur|severity is"):
        corrupt(name, sample()[0], None, severity=severity, image_id="a", seed=0)


def test_a_wrong_name_in_the_settings_is_answered_with_the_right_ones():
    check_names(CORRUPTIONS)
    with pytest.raises(ValueError, match="colour_filter"):
        check_names(["blur", "color_filter"])
