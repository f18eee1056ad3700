import numpy as np

from iip_assets.models.augment import augment


def disc():
    rows, columns = np.ogrid[:96, :128]
    inside = (rows - 48) ** 2 + (columns - 64) ** 2 <= 20**2
    image = np.where(inside[:, :, None], 255, 0).astype(np.uint8).repeat(3, axis=2)
    return image, inside.astype(np.uint8)


def test_the_mask_moves_with_the_picture():
    image, mask = disc()
    rng = np.random.default_rng(0)
    for _ in range(30):
        changed, changed_mask = augment(image, mask, rng)
        inside, outside = changed_mask == 1, changed_mask == 0
        # Interpolation blurs the border by a pixel or two.
        bright = changed[:, :, 1] > (int(changed.max()) + int(changed[outside].min())) / 2
        overlap = (inside & bright).sum() / (inside | (bright & outside)).sum()
        assert overlap > 0.9


def test_what_comes_in_from_outside_is_not_labelled():
    image, mask = disc()
    rng = np.random.default_rng(1)
    values = {int(v) for _ in range(20) for v in np.unique(augment(image, mask, rng)[1])}
    assert values == {0, 1, 255}


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
