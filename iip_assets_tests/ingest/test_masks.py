"""COCO's run lengths give the mask that was packed, and whatever else comes is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iip_assets.ingest.formats.masks import (
    BadRuns,
    TooTangled,
    decode_brush,
    decode_counts,
    encode_brush,
    encode_counts,
    fill_polygon,
    unpack_counts,
)

masks = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def packed(counts: list[int]) -> str:
    """The string that pycocotools writes, after its description."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = value & 31
            value >>= 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + (bits | 32 if more else bits))
    return text


def test_counts_go_down_the_columns_and_begin_with_background():
    mask = np.zeros((3, 2), bool)
    mask[2, 0] = mask[0, 1] = True
    assert encode_counts(mask) == [2, 2, 2]
    assert encode_counts(~mask) == [0, 2, 2, 2]


def test_a_string_of_pycocotools_is_read():
    """pycocotools 2.0.11 gave it for a box of 3×3 in an image of 7×5."""
    mask = np.zeros((5, 7), bool)
    mask[1:4, 2:5] = True
    assert (decode_counts(unpack_counts(";320009"), height=5, width=7) == mask).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(masks)
def test_every_mask_comes_back_from_its_counts_and_from_their_string(mask):
    height, width = mask.shape
    counts = encode_counts(mask)
    assert unpack_counts(packed(counts)) == counts
    assert (decode_counts(counts, height=height, width=width) == mask).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 2**30)))
def test_counts_of_any_size_survive_their_string(counts):
    assert unpack_counts(packed(counts)) == counts


@pytest.mark.parametrize(
    "counts", [[5], [7], [10**9, -(10**9), 6], [2.0, 4], [True, 5], ["6"], [None], [10**400], []]
)
def test_counts_that_are_not_of_the_image_are_refused(counts):
    with pytest.raises(BadRuns):
        decode_counts(counts, height=2, width=3)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=30))
def test_any_text_is_unpacked_or_refused(text):
    with contextlib.suppress(BadRuns):
        assert decode_counts(unpack_counts(text), height=2, width=3).shape == (2, 3)


BOX = np.zeros((5, 7), bool)
BOX[1:4, 2:5] = True
# What mask2rle and encode_rle of label-studio-sdk 2.1.2 give; its strokes may end in a spare byte.
BOX_RLE = [0, 0, 0, 140, 57, 27, 254, 35, 0, 183, 255, 124, 2, 223, 253, 240, 11, 127, 248, 140, 0]
RAMP_RLE = [0, 0, 0, 24, 57, 27, 248, 0, 0, 0, 128, 4, 0, 24, 0, 128, 2, 128, 12, 0, 56, 1, 0, 4]
RAMP_RLE += [128, 20, 0, 88, 1, 128, 6, 128, 28, 0, 120, 2, 0, 8, 128, 36, 0, 152, 2, 128, 10, 128]
RAMP_RLE += [44, 0, 184]


def test_a_stroke_of_label_studio_is_read():
    assert (decode_brush(BOX_RLE, height=5, width=7) == BOX).all()


def test_a_stroke_is_packed_as_label_studio_packs_it():
    assert encode_brush(BOX) == BOX_RLE


def test_values_told_one_by_one_are_read_and_alpha_decides():
    """The values are 0 to 23: alpha is 3, 7, 11, 15, 19, 23, and more than half of that counts."""
    mask = decode_brush(RAMP_RLE, height=2, width=3)
    assert mask.tolist() == [[False, False, False], [True, True, True]]


def test_a_run_of_values_one_by_one_is_read():
    """One run of eight values, as Label Studio's own editor packs what does not repeat."""
    bits = f"{8:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "000" + f"{7:03b}"
    bits += "".join(f"{value:08b}" for value in (9, 9, 9, 0, 9, 9, 9, 200))
    data = np.packbits([int(bit) for bit in bits]).tolist()
    assert decode_brush(data, height=1, width=2).tolist() == [[False, True]]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=20)))
def test_every_mask_comes_back_from_its_stroke(mask):
    height, width = mask.shape
    assert (decode_brush(encode_brush(mask), height=height, width=width) == mask).all()


def test_runs_longer_than_a_field_holds_come_back():
    mask = np.ones((300, 400), bool)
    mask[299, 399] = False
    assert (decode_brush(encode_brush(mask), height=300, width=400) == mask).all()


@pytest.mark.parametrize(
    ("rle", "reason"),
    [
        ([], "before its size"),
        ([1.5], "list of bytes"),
        ([300], "list of bytes"),
        (["a"], "list of bytes"),
        ([255, 255, 255, 255, *BOX_RLE[4:]], "4294967295 values"),
        (BOX_RLE[:12], "ends after"),
        ([*BOX_RLE[:4], 1, *BOX_RLE[5:]], "words of 1 bits"),
        ([0, 0, 0, 140, 57, 27, 255, 143, 255, 255, 255, 255], "more values than it says"),
    ],
)
def test_what_is_no_stroke_of_this_size_is_refused(rle, reason):
    with pytest.raises(BadRuns, match=reason):
        decode_brush(rle, height=5, width=7)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 255), max_size=20), st.integers(0, 20))
def test_a_damaged_stroke_is_read_or_refused(tail, kept):
    try:
        mask = decode_brush([*BOX_RLE[:kept], *tail], height=5, width=7)
    except BadRuns:
        return
    assert mask.shape == (5, 7)


H, W = 7, 9


Points = list[tuple[float, float]]


def centre_inside(points: Points, x: float, y: float) -> bool:
    """Even-odd, edge by edge: a ray to the right."""
    inside = False
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if (ay <= y) != (by <= y) and ax + (y - ay) * (bx - ax) / (by - ay) <= x:
            inside = not inside
    return inside


def centres_inside(points: Points, shift_x: float = 0, shift_y: float = 0) -> np.ndarray:
    rows = range(H)
    return np.array(
        [
            [centre_inside(points, x + 0.5 + shift_x, y + 0.5 + shift_y) for x in range(W)]
            for y in rows
        ]
    )


def fill(points) -> np.ndarray:
    return fill_polygon(np.array(points, float), height=H, width=W)


def test_a_box_on_pixel_corners_covers_just_its_pixels():
    expected = np.zeros((H, W), bool)
    expected[1:4, 2:6] = True
    assert (fill([(2, 1), (6, 1), (6, 4), (2, 4)]) == expected).all()


def test_neighbours_that_share_an_edge_share_no_pixel():
    left = fill([(0, 0), (4.5, 0), (4.5, 7), (0, 7)])
    right = fill([(4.5, 0), (9, 0), (9, 7), (4.5, 7)])
    assert (left ^ right).all()


def test_what_lies_outside_is_cut_off():
    assert fill([(-50, -50), (50, -50), (50, 50), (-50, 50)]).all()
    assert not fill([(20, 1), (30, 1), (30, 4)]).any()
    assert not fill([(-9, -9), (-1, -9), (-1, -1)]).any()


coordinates = st.one_of(st.integers(-4, 24).map(lambda n: n / 2), st.floats(-3, 12))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=8))
def test_every_polygon_is_filled_as_ray_by_ray(points):
    expected = centres_inside(points)
    # A centre on an edge may fall to either side by rounding.
    shifts = [(-1e-6, 0), (1e-6, 0), (0, -1e-6), (0, 1e-6)]
    sure = np.all([centres_inside(points, *shift) == expected for shift in shifts], axis=0)
    assert (fill(points) == expected)[sure].all()


def test_a_polygon_that_would_take_hours_is_refused():
    up_and_down = np.zeros((3000, 2))
    up_and_down[::2, 1] = 10_000
    with pytest.raises(TooTangled, match="cross"):
        fill_polygon(up_and_down, height=10_000, width=4)


def test_many_crossings_are_counted_in_parts():
    """Over a million crossings: an odd number of sweeps over the image covers it."""
    sweep = [(0, 0), (0, 2000), (3, 2000), (3, 0)] * 301
    assert fill_polygon(np.array(sweep, float), height=2000, width=3).all()
