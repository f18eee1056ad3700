import io

import cv2
import numpy as np
import pytest
from PIL import Image

from iip_assets.models.augment import LOOKS, WARPS, augment, warped


def disc():
    rows, columns = np.ogrid[:96, :128]
    inside = (rows - 48) ** 2 + (columns - 64) ** 2 <= 20**2
    image = np.where(inside[:, :, None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    return image, inside.astype(np.uint8)


def overlap(image, mask):
    """IoU of what is bright and what is labelled, where anything is."""
    known = mask != 255
    bright = image[:, :, 1] > 127
    return (bright & (mask == 1)).sum() / ((bright | (mask == 1)) & known).sum()


@pytest.mark.parametrize("warp", WARPS, ids=lambda warp: warp.name)
def test_the_mask_moves_with_the_image(warp):
    image, mask = disc()
    rng = np.random.default_rng(0)
    moved = []
    for _ in range(20):
        matrix = warp.matrix(128, 96, rng)
        changed, changed_mask = warped(image, mask, matrix)
        assert overlap(changed, changed_mask) > 0.95
        moved.append((changed_mask != mask).any())
    # A disc in the middle looks the same in the mirror and when turned.
    assert any(moved) or warp.name in ("mirror", "turn")


def test_a_mirrored_mask_is_the_mirror_of_the_mask():
    rng = np.random.default_rng(0)
    image, mask = disc()
    mask[:, :30] = 2
    matrix = next(warp for warp in WARPS if warp.name == "mirror").matrix(128, 96, rng)
    assert (warped(image, mask, matrix)[1] == mask[:, ::-1]).all()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.name)
def test_a_look_changes_pixels_and_keeps_shape_and_kind(look):
    rng = np.random.default_rng(0)
    image = rng.integers(40, 200, (48, 64, 3), dtype=np.uint8)
    before = image.copy()
    changed = look.change(image, rng)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != before).any()
    assert (image == before).all()


def test_what_comes_in_from_outside_is_not_labelled():
    image, mask = disc()
    rng = np.random.default_rng(1)
    values = {int(v) for _ in range(20) for v in np.unique(augment(image, mask, rng)[1])}
    assert values == {0, 1, 255}


def test_every_change_has_a_name_of_its_own_a_reason_and_a_share():
    changes = [*WARPS, *LOOKS]
    assert len({one.name for one in changes}) == len(changes)
    assert all(one.reason and 0 < one.share < 1 for one in changes)


def test_the_same_seed_changes_the_same_way_and_the_original_stays():
    image, mask = disc()
    before = image.copy(), mask.copy()
    one = augment(image, mask, np.random.default_rng(5))
    two = augment(image, mask, np.random.default_rng(5))
    other = augment(image, mask, np.random.default_rng(6))
    assert (one[0] == two[0]).all()
    assert (one[1] == two[1]).all()
    assert (one[1] != other[1]).any()
    assert (image == before[0]).all()
    assert (mask == before[1]).all()


def test_jpeg_keeps_red_and_blue_apart_and_spoils_both_as_a_camera_would():
    """As OpenCV writes and reads the image in its own order of colours."""
    rng = np.random.default_rng(0)
    image = cv2.GaussianBlur(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8), (0, 0), 3)
    look = next(one for one in LOOKS if one.name == "compression")
    found = look.change(image, np.random.default_rng(1))
    quality = int(np.random.default_rng(1).integers(25, 80))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    expected = np.asarray(Image.open(buffer).convert("RGB"))
    assert np.abs(found.astype(int) - expected).mean() < 1
    swapped = found[:, :, ::-1]
    assert np.abs(swapped.astype(int) - expected).mean() > 5
