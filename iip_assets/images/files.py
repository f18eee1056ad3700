"""Image files of one's own: read whole, and only where they can be images at all.

A pipe or a device is never waited for, and no file is read that is larger than an image of the
allowed size can be.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from iip_assets.images.header import Undecodable

# Of a pixel in the most generous image format: four channels of 16 bits, and as much again.
_MOST_BYTES_A_PIXEL = 16
_SMALL_FILE_BYTES = 16_000_000
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def largest_bytes(max_megapixels: float) -> float:
    """No sound image of so many megapixels is a larger file."""
    return _SMALL_FILE_BYTES + max_megapixels * 1e6 * _MOST_BYTES_A_PIXEL


def too_large(size: int) -> str:
    """Why a file of so many bytes is not read."""
    return f"{size / 1e6:,.0f} MB, more than an image of the allowed size can need"


def read_image_file(path: Path, *, max_megapixels: float, first: int = -1) -> bytes:
    """All bytes of a regular file, or the first so many.

    Raises:
        Undecodable: It is something else, or too large.
        OSError: It cannot be read.
    """
    # Not to wait for a writer.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise Undecodable(f"{kind}, not a file; give an image file")
        if status.st_size > largest_bytes(max_megapixels):
            raise Undecodable(too_large(status.st_size))
        return file.read(first)
