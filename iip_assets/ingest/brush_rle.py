"""Label Studio's brush strokes: an image of four channels, packed bit by bit; alpha is the mask.

The packing is that of thi.ng/rle-pack: 32 bits of how many values, 5 of the word size less one,
four times 4 bits of how wide a length may be, less one. Then runs: one bit (1: a value repeated,
0: values one by one), two bits naming one of the four widths, the length less one, and the value
or values.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from iip_assets.ingest.rle import BadRuns

_CHANNELS = 4
_WORD_BITS = 8
_WIDTHS = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * 4


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
    data = _as_bytes(rle)
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


def _as_bytes(rle: Sequence[object]) -> bytes:
    if not all(isinstance(one, int) and 0 <= one < 256 for one in rle):
        raise BadRuns("the brush stroke is not a list of bytes")
    return bytes(one for one in rle if isinstance(one, int))


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
