"""COCO's run lengths: how many pixels of background, then of the object, and so on, by columns.

They come as a list of counts (as CVAT writes them) or as a string in which each count is packed
into characters (as pycocotools writes them).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Five bits a character: more than seven characters make a count beyond any image.
_MOST_BITS = 35


class BadRuns(ValueError):
    """Run lengths that give no mask of this size; the message says why."""


def encode_counts(mask: NDArray[np.bool_]) -> list[int]:
    """The counts of a mask (H, W), the first of background, which may be 0."""
    flat = np.concatenate(([False], mask.ravel(order="F")))
    starts = np.flatnonzero(flat[1:] != flat[:-1])
    ends = np.concatenate((starts, [mask.size]))
    return [int(count) for count in np.diff(ends, prepend=0)]


def decode_counts(counts: Sequence[object], *, height: int, width: int) -> NDArray[np.bool_]:
    """The mask (H, W) of a list of counts.

    Raises:
        BadRuns: A count is no whole number from 0 on, or they do not sum to the size.
    """
    runs: list[int] = []
    for count in counts:
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise BadRuns("a run length is not a whole number from 0 on")
        runs.append(count)
    if sum(runs) != height * width:
        raise BadRuns(f"the run lengths sum to {sum(runs)}, the image has {height * width} pixels")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def unpack_counts(text: str) -> list[int]:
    """The counts that pycocotools packed into a string.

    Each character holds five bits and whether more follow; from the fourth on, a count is told as
    its difference from the one before the last.

    Raises:
        BadRuns: The string is not such a one.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift >= _MOST_BITS:
            raise BadRuns(f"the packed run lengths are broken after {len(counts)} counts")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise BadRuns("the packed run lengths end in the middle of a count")
    return counts
