from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.inference.frame import (
    Box,
    Frame,
    box_around,
    cut_image,
    cut_mask,
    drawn_box,
    put_back,
)
from iip_assets.inference.segmenter import eye_classes
from iip_assets.metrics.functional import mask_confusion
from iip_assets.models.training_images import MaskedImages


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


def test_the_field_around_an_image_is_not_labelled_and_seen_as_zero():
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


FRAME = Frame(96, 64)


def eye_at(top: int, left: int, height: int, width: int, shape: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[top : top + height, left : left + width] = True
    return mask


def test_a_close_look_has_the_inputs_shape_and_room_around_the_largest_region() -> None:
    eye = eye_at(50, 80, 20, 50, (240, 320))
    eye[200:203, 10:13] = True  # a speck elsewhere
    box = box_around(eye, FRAME)
    assert box is not None
    assert box.width / box.height == pytest.approx(1.5, abs=0.02)
    assert box.width == 70
    assert (box.left + box.width / 2, box.top + box.height / 2) == (105, pytest.approx(60, abs=1))
    assert box_around(np.zeros((5, 5), bool), FRAME) is None


@given(
    top=st.integers(0, 90),
    left=st.integers(0, 110),
    height=st.integers(1, 30),
    width=st.integers(1, 50),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_a_drawn_look_has_all_of_the_eye(
    top: int, left: int, height: int, width: int, seed: int
) -> None:
    eye = eye_at(top, left, height, width, (120, 160))
    box = drawn_box(eye, FRAME, np.random.default_rng(seed))
    assert box is not None
    rows, columns = np.nonzero(eye)
    assert box.left <= columns.min() + 1
    assert columns.max() <= box.left + box.width
    assert box.top <= rows.min() + 1
    assert rows.max() <= box.top + box.height


@given(
    left=st.integers(-60, 140),
    top=st.integers(-60, 100),
    scale=st.sampled_from([0.5, 1.0, 1.7]),
)
@settings(deadline=None)
def test_what_was_seen_closely_goes_back_to_where_it_was_seen(
    left: int, top: int, scale: float
) -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((120, 160), np.uint8)
    mask[30:80, 50:110] = 1
    mask[45:65, 65:95] = 2
    box = Box(left, top, round(96 * scale), round(64 * scale))
    seen = cut_mask(mask, box, FRAME)
    logits = np.stack([(seen == one).astype(np.float32) for one in range(3)])
    start = rng.integers(0, 3, mask.shape).astype(np.uint8)
    found = put_back(start, logits, box)
    inside = np.zeros(mask.shape, bool)
    inside[max(0, top) : max(0, top + box.height), max(0, left) : max(0, left + box.width)] = True
    np.testing.assert_array_equal(found[~inside], start[~inside])
    if inside.any():
        # A border moves by a pixel of the input at most.
        assert (found[inside] == mask[inside]).mean() > 0.85
        if scale == 1.0:
            np.testing.assert_array_equal(found[inside], mask[inside])


def test_what_lies_beyond_the_image_is_grey_and_not_labelled() -> None:
    box = Box(-48, -32, 96, 64)
    image = cut_image(np.full((120, 160, 3), 10, np.uint8), box, FRAME)
    mask = cut_mask(np.zeros((120, 160), np.uint8), box, FRAME)
    assert (image[:32] == 127).all()
    assert (image[32:, 48:] == 10).all()
    assert (mask[:, :48] == 255).all()
    assert (mask[32:, 48:] == 0).all()


def test_most_of_the_training_images_are_seen_closely_and_those_without_an_eye_never() -> None:
    image = np.zeros((120, 160, 3), np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    mask[55:65, 75:85] = 1

    def sizes(mask: np.ndarray, eye: tuple[int, ...], *, augmented: bool = True) -> list[float]:
        images = MaskedImages(
            lambda _: (image, mask),
            frame=FRAME,
            weights=[1.0],
            seed=0,
            threads=1,
            augmented=augmented,
            eye=eye,
        )
        return [float((images[epoch, 0][1] == 1).sum()) for epoch in range(60)]

    whole = sizes(mask, ())
    both = sizes(mask, (1,))
    assert 30 < sum(size > 4 * max(whole) for size in both) < 54
    assert set(sizes(np.zeros_like(mask), (1,))) == {0.0}
    assert len(set(sizes(mask, (1,), augmented=False))) == 1


def test_a_split_without_images_is_one_without_close_looks() -> None:
    none = MaskedImages(
        lambda place: [][place], frame=FRAME, weights=[], seed=0, threads=1, eye=(1,)
    )
    assert len(none) == 0
    assert list(none.fitted_masks()) == []


def test_without_a_background_nobody_knows_where_the_eye_is() -> None:
    assert eye_classes(("background", "sclera", "iris")) == (1, 2)
    assert eye_classes(("iris", "background")) == (0,)
    assert eye_classes(("skin", "iris")) == ()
