import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from iip_assets.images.letterbox import Letterbox, letterbox_image

sides = st.integers(1, 400)


@given(sides, sides, sides, sides)
def test_an_image_of_any_shape_stands_inside_and_in_the_middle(width, height, w, h):
    box = Letterbox.of(width, height, w, h)
    right, bottom = w - box.left - box.width, h - box.top - box.height
    assert min(box.left, box.top, right, bottom) >= 0
    assert abs(box.left - right) <= 1
    assert abs(box.top - bottom) <= 1
    assert box.width == w or box.height == h


@given(st.integers(20, 400), st.integers(20, 400))
def test_the_aspect_is_kept_to_the_pixel(width, height):
    box = Letterbox.of(width, height, 224, 224)
    scale = 224 / max(width, height)
    assert abs(box.width - width * scale) <= 0.5
    assert abs(box.height - height * scale) <= 0.5


def test_a_disc_stays_a_disc_and_the_field_is_grey():
    image = np.zeros((60, 120, 3), np.uint8)
    rows, columns = np.ogrid[:60, :120]
    image[(rows - 30) ** 2 + (columns - 60) ** 2 <= 20**2] = 255
    fitted = letterbox_image(image, 100, 100)
    bright = np.argwhere(fitted[:, :, 0] > 200)
    extent = np.ptp(bright, axis=0)
    assert abs(int(extent[0]) - int(extent[1])) <= 1
    assert (fitted[:25] == 127).all()
    assert (fitted[75:] == 127).all()


def test_indices_of_a_mask_are_never_mixed():
    mask = np.random.default_rng(0).choice(np.array([0, 3, 255], np.uint8), (37, 51))
    fitted = Letterbox.of(51, 37, 160, 128).place(mask, fill=255, nearest=True)
    assert set(np.unique(fitted)) == {0, 3, 255}


def test_what_is_cut_out_again_is_what_was_placed():
    image = np.random.default_rng(0).integers(0, 255, (30, 40), dtype=np.uint8)
    box = Letterbox.of(40, 30, 40, 64)
    field = box.place(image, fill=9, nearest=True)
    assert (box.cut(field.astype(np.float32)) == image).all()
