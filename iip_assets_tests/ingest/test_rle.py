"""COCO's run lengths give the mask that was packed, and whatever else comes is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from iip_assets.ingest.rle import BadRuns, decode_counts, encode_counts, unpack_counts

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
