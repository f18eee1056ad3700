"""Image files made for the tests."""

import io
import struct
import zlib
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def scene(height: int = 48, width: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth colour image, different in each corner, so that turns and mirrors show."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    small[0, 0], small[0, -1], small[-1, 0], small[-1, -1] = (
        (250, 10, 10),
        (10, 250, 10),
        (10, 10, 250),
        (240, 240, 20),
    )
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels: NDArray[np.generic], kind: str, mode: str | None = None, **options) -> bytes:
    """The pixels as a file."""
    image = Image.fromarray(pixels)
    if mode:
        image = image.convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class MemoryStore:
    """Bytes by id, and the ids that were asked for."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.fetched: list[str] = []

    def fetch(self, md5s: Iterable[str]) -> None:
        self.fetched += md5s

    def read(self, md5: str) -> bytes:
        return self.files[md5]


def png_header(width: int, height: int) -> bytes:
    """A small PNG that claims any size."""
    return raw_png(width, height, bits=8, colour=2, rows=b"\0" * 1000)


def raw_png(width: int, height: int, *, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG of these fields of its header, whatever its rows are."""

    def chunk(name: bytes, body: bytes) -> bytes:
        crc = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", crc)

    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)
