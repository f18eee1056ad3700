"""Masks as labeling tools write them, and the one mask that the marked regions make together.

They come as a list of counts (as CVAT writes them) or as a string in which each count is packed
into characters (as pycocotools writes them).

The packing is that of thi.ng/rle-pack: 32 bits of how many values, 5 of the word size less one,
four times 4 bits of how wide a length may be, less one. Then runs: one bit (1: a value repeated,
0: values one by one), two bits naming one of the four widths, the length less one, and the value
or values.

Where regions overlap, the later class of `dataset.mask_classes` is seen: an iris that was outlined
as a whole disc does not hide its pupil. `not_labelled` goes over all classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.schema import LABELS
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.ingest.formats.export_files import BadEntry, as_list, as_number

# Five bits a character: more than seven characters make a count beyond any image.
_MOST_BITS = 35

_CHANNELS = 4
_WORD_BITS = 8
_WIDTHS = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * 4

# Edges times the rows that they cross: a drawn outline has thousands; a made-up one could keep a
# machine busy for hours.
_MOST_CROSSINGS = 20_000_000
_CHUNK = 1_000_000
NOT_LABELLED_WORD = "not_labelled"
"""The class that marks pixels which nobody judged; they are 255 in a mask."""
_FEWEST_POINTS = 3

# Hands slip over the image's edge, by no more than this share of its side.
_OUTSIDE = 0.1
Fill = Callable[[int, int], NDArray[np.bool_]]
"""Gives the pixels (H, W) of a region for a height and a width, or raises `BadEntry`."""


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


def encode_brush(mask: NDArray[np.bool_]) -> list[int]:
    """Pack a mask (H, W) as Label Studio does: 255 in all four channels where it is True."""
    flat = mask.ravel()
    edges = [0, *(np.flatnonzero(flat[1:] != flat[:-1]) + 1).tolist(), flat.size]
    fields = [_field(flat.size * _CHANNELS, 32), _field(_WORD_BITS - 1, 5)]
    fields += [_field(width - 1, 4) for width in _WIDTHS]
    for start, end in pairwise(edges):
        value = _field(255 if flat[start] else 0, _WORD_BITS)
        left = (end - start) * _CHANNELS
        while left:
            length = min(left, 1 << _WIDTHS[-1])
            which = next(n for n, width in enumerate(_WIDTHS) if length <= 1 << width)
            fields += ["1", _field(which, 2), _field(length - 1, _WIDTHS[which]), value]
            left -= length
    bits = np.frombuffer("".join(fields).encode(), np.uint8) - ord("0")
    packed: list[int] = np.packbits(bits).tolist()
    return packed


def decode_brush(rle: Sequence[object], *, height: int, width: int) -> NDArray[np.bool_]:
    """Unpack a mask (H, W): True where the stroke is more than half as opaque as at its most.

    Edges drawn by hand are blurred over a pixel, and scripts write 1 where Label Studio writes 255.

    Raises:
        BadRuns: It is not packed like this, or not of this size.
    """
    if not all(isinstance(one, int) and 0 <= one < 256 for one in rle):
        raise BadRuns("the brush stroke is not a list of bytes")
    data = bytes(one for one in rle if isinstance(one, int))
    if len(data) * 8 < _HEADER_BITS:
        raise BadRuns("the brush stroke ends before its size is told")
    size = _take(data, 0, 32)
    if size != height * width * _CHANNELS:
        raise BadRuns(
            f"the brush stroke has {size} values, the image {height * width} pixels of four"
        )
    if _take(data, 32, 5) + 1 != _WORD_BITS:
        raise BadRuns(f"the brush stroke has words of {_take(data, 32, 5) + 1} bits, expected 8")
    widths = [_take(data, 37 + 4 * n, 4) + 1 for n in range(4)]
    values = _unpack(data, size, widths)
    alpha = values.reshape(height, width, _CHANNELS)[:, :, 3]
    inside: NDArray[np.bool_] = alpha > alpha.max(initial=0) // 2
    return inside


def _unpack(data: bytes, size: int, widths: Sequence[int]) -> NDArray[np.uint8]:
    values = np.zeros(size, np.uint8)
    done, at, end = 0, _HEADER_BITS, len(data) * 8
    while done < size:
        width = widths[_take(data, at + 1, 2)]
        repeated = _take(data, at, 1)
        length = _take(data, at + 3, width) + 1
        at += 3 + width
        words = 1 if repeated else length
        if at + words * _WORD_BITS > end:
            raise BadRuns(f"the brush stroke ends after {done} of {size} values")
        if length > size - done:
            raise BadRuns("the brush stroke has more values than it says")
        run = _words(data, at, words)
        values[done : done + length] = run
        at += words * _WORD_BITS
        done += length
    return values


def _take(data: bytes, at: int, bits: int) -> int:
    """The number in these bits; what lies behind the end reads as 0."""
    first, last = at // 8, (at + bits + 7) // 8
    number = int.from_bytes(data[first:last].ljust(last - first, b"\0"), "big")
    return (number >> (-(at + bits) % 8)) & ((1 << bits) - 1)


def _words(data: bytes, at: int, count: int) -> NDArray[np.uint8]:
    first, last = at // 8, (at + count * _WORD_BITS + 7) // 8
    bits = np.unpackbits(np.frombuffer(data[first:last], np.uint8))[at % 8 :]
    return np.packbits(bits[: count * _WORD_BITS])


def _field(value: int, bits: int) -> str:
    return f"{value:0{bits}b}"


class TooTangled(ValueError):
    """A polygon crosses so many rows so often that nobody drew it."""


def fill_polygon(points: NDArray[np.float64], *, height: int, width: int) -> NDArray[np.bool_]:
    """(H, W), True inside a closed polygon; what lies outside the image is cut off.

    Its points (N, 2) are x and y in pixels; (0, 0) is the corner of the first pixel, not its
    centre.

    Raises:
        TooTangled: It has more crossings than are ever drawn.
    """
    begin, end = points, np.roll(points, -1, axis=0)
    top, bottom = np.minimum(begin[:, 1], end[:, 1]), np.maximum(begin[:, 1], end[:, 1])
    # Rows whose centre lies in [top, bottom): a corner counts for one of its two edges.
    first = np.clip(np.ceil(top - 0.5), 0, height).astype(np.int64)
    rows = np.clip(np.ceil(bottom - 0.5), 0, height).astype(np.int64) - first
    crossed = np.flatnonzero(rows > 0)
    if int(rows[crossed].sum()) > _MOST_CROSSINGS:
        raise TooTangled(f"its edges cross {int(rows[crossed].sum()):,} rows of pixels")
    toggled = np.zeros((height, width + 1), np.uint8)
    for edges in _chunks(crossed, rows):
        edge = np.repeat(edges, rows[edges])
        offset = np.arange(len(edge)) - np.repeat(np.cumsum(rows[edges]) - rows[edges], rows[edges])
        row = first[edge] + offset
        slope = (end[edge, 0] - begin[edge, 0]) / (end[edge, 1] - begin[edge, 1])
        x = begin[edge, 0] + (row + 0.5 - begin[edge, 1]) * slope
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.bitwise_xor.at(toggled, (row, column), np.uint8(1))
    inside: NDArray[np.bool_] = np.bitwise_xor.accumulate(toggled, axis=1)[:, :width].astype(bool)
    return inside


def _chunks(edges: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The edges in parts of about a million crossings each, so that memory stays bounded."""
    part = np.cumsum(rows[edges]) // _CHUNK
    return np.split(edges, np.flatnonzero(np.diff(part)) + 1)


@dataclass(frozen=True)
class Region:
    """One region.

    Attributes:
        value: Its class: an index into the mask classes, or 255.
        fill: Gives its pixels.
        row: The entry of the export that it stands in.
        in_pixels: Whether it is an outline in pixels, that depends on no size.
    """

    value: int
    fill: Fill
    row: int
    in_pixels: bool = False


def class_values(mask_classes: Sequence[str]) -> dict[str, int]:
    """The mask value of each class by its name in lower case, `not_labelled` included."""
    values = {NOT_LABELLED_WORD: NOT_LABELLED}
    values |= {name.lower(): index for index, name in enumerate(mask_classes)}
    return values


def unknown_class(name: str, values: Iterable[str], column: str) -> BadEntry:
    """The problem of a class that is none of the mask classes."""
    return BadEntry(
        column,
        name,
        f"not a class that is known here; known are {', '.join(values)}",
        f"rename it in the labeling tool, or add {name.lower()!r} to dataset.mask_classes in "
        f"iip.toml; whole images are labelled {', '.join(LABELS)}",
    )


def paint(regions: Sequence[Region], *, height: int, width: int) -> NDArray[np.uint8]:
    """The mask (H, W) of the regions; what none of them covers is class 0.

    Raises:
        BadEntry: A region gives no pixels of this size.
    """
    mask = np.zeros((height, width), np.uint8)
    # Stable, and 255 is above every class.
    for region in sorted(regions, key=lambda region: region.value):
        mask[region.fill(height, width)] = region.value
    return mask


def polygon_pixels(
    coordinates: Sequence[Any], column: str, *, height: int, width: int, scale: tuple[float, float]
) -> NDArray[np.bool_]:
    """The pixels (H, W) inside a polygon.

    Args:
        coordinates: Pairs of x and y.
        column: Where they stand, for the problem.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        scale: What x and y are multiplied by to be pixels.

    Raises:
        BadEntry: Fewer than three points, no numbers, or far outside of the image.
    """
    fix = "draw the region again"
    if len(coordinates) < _FEWEST_POINTS:
        raise BadEntry(column, None, f"a polygon of {len(coordinates)} points", fix)
    pairs = [as_list(pair, column) for pair in coordinates]
    if any(len(pair) != 2 for pair in pairs):
        raise BadEntry(column, None, "a point that is not a pair of x and y", fix)
    points = np.array([[as_number(one, column) for one in pair] for pair in pairs]) * scale
    beyond = np.maximum(-points, points - (width, height)) > (_OUTSIDE * width, _OUTSIDE * height)
    if beyond.any():
        x, y = points[np.flatnonzero(beyond.any(axis=1))[0]]
        reason = f"the point {x:.0f}, {y:.0f} lies outside of the image of {width}×{height} pixels"
        raise BadEntry(column, None, reason, fix)
    try:
        return fill_polygon(points, height=height, width=width)
    except TooTangled as error:
        raise BadEntry(column, None, f"a polygon that nobody drew: {error}", fix) from error
