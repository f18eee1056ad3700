import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.inference.preprocess import Frame, mask_confusion


@settings(deadline=None)
@given(st.integers(30, 300), st.integers(30, 300))
def test_a_perfect_network_gives_the_mask_back_at_any_size(width, height):
    rows, columns = np.ogrid[:height, :width]
    radius = min(height, width) / 3
    inside = (rows - height / 2) ** 2 + (columns - width / 2) ** 2 <= radius**2
    mask = inside.astype(np.uint8)
    frame = Frame(160, 128)
    fitted = frame.fit_mask(mask)
    logits = np.stack([fitted == index for index in range(2)]).astype(np.float32)
    back = frame.classes_of(logits, height=height, width=width)
    counts = mask_confusion(mask, back, 2)
    assert counts[1, 1] / (counts.sum() - counts[0, 0]) > 0.85


def test_the_field_around_a_image_is_not_labelled_and_seen_as_zero():
    frame = Frame(64, 64)
    assert (frame.fit_mask(np.zeros((16, 64), np.uint8))[:24] == 255).all()
    fitted = frame.standardise(frame.fit_image(np.full((16, 64, 3), 255, np.uint8))[None])
    assert np.abs(fitted[0, :, :24]).max() < 0.01
    assert (fitted[0, :, 24:40] == 1).all()


def test_pixels_that_nobody_labelled_are_not_counted():
    mask = np.array([[0, 1, 255], [2, 2, 255]], np.uint8)
    said = np.array([[0, 2, 1], [2, 0, 0]], np.uint8)
    assert mask_confusion(mask, said, 3).tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 1]]


def test_a_frame_is_what_its_card_says():
    card = {"input_width": 96, "input_height": 64, "mean": [0.1, 0.2, 0.3], "std": [1, 1, 0.5]}
    frame = Frame.of_card(card)
    pixels = frame.standardise(np.full((1, 64, 96, 3), 51, np.uint8))
    np.testing.assert_allclose(pixels[0, :, 0, 0], [0.1, 0.0, -0.2], atol=1e-6)
