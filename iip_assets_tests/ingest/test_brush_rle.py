"""Brush strokes are packed as Label Studio's own converter packs them, and read from there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iip_assets.ingest.brush_rle import decode_brush, encode_brush
from iip_assets.ingest.rle import BadRuns

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
