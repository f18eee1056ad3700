"""What an image file says of itself in its first bytes: format and size, no pixel decoded.

A file of a few kilobytes may claim an image of gigabytes, so the size is known before any decoder
sees it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

Kind = Literal["JPEG", "PNG", "BMP", "TIFF", "WebP"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers (ITU-T T.81, table B.1): C0-CF but for C4 (Huffman), C8 (reserved), CC
# (arithmetic).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_KNOWN_STRANGERS = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"<svg", "an SVG drawing"),
    (b"<", "an HTML or XML text"),
    (b"version https://git-lfs", "a git-lfs pointer, not the file itself"),
)


class Undecodable(ValueError):
    """These bytes are no image that can be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Header:
    """Format, size in pixels as stored (before any EXIF turn), and which decoder it needs."""

    kind: Kind  # the file format
    width: int  # stored width in pixels
    height: int  # stored height in pixels
    # Complete, 8 bits a channel, one frame, grey, RGB or palette: OpenCV may decode it. All else
    # takes the careful way.
    plain: bool = False
    bits: int = 8  # bits a channel where the header says so, else 8
    channels: int = 3  # channels as stored; 1 for a palette
    palette: bool = False  # the pixels are indices into a palette


def read_header(data: bytes) -> Header:
    """The header of a JPEG, PNG, BMP, TIFF or WebP file; pixels are not touched.

    Size is (0, 0) for BMP and TIFF, whose headers Pillow reads as cheaply as we could.

    Raises:
        Undecodable: The bytes are empty, of another format, or the header is cut short.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_header(data)
    if data.startswith(_PNG_SIGNATURE):
        return _png_header(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_header(data)
    if data.startswith(b"BM") and len(data) >= 26:
        return Header("BMP", 0, 0)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return Header("TIFF", 0, 0)
    raise Undecodable(_stranger(data))


def _stranger(data: bytes) -> str:
    wanted = "; expected JPEG, PNG, BMP, TIFF or WebP"
    if not data:
        return "the file is empty (0 bytes)"
    if data[4:8] == b"ftyp":
        return f"a video, HEIC or AVIF file{wanted}"
    for start, name in _KNOWN_STRANGERS:
        if data.lstrip().startswith(start):
            return f"{name}{wanted}"
    if b"\0" not in data[:256] and _is_text(data[:256]):
        return f"a text file with an image's name{wanted}"
    return f"not an image format that is known: it begins with {data[:8].hex(' ')}{wanted}"


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        # A character cut at the end of the excerpt is still text.
        if error.start < len(data) - 3:
            return False
        text = data[: error.start].decode("utf-8")
    return all(character.isprintable() or character.isspace() for character in text)


def _jpeg_header(data: bytes) -> Header:
    position, end = 2, len(data)
    while position + 9 < end:
        if data[position] != 0xFF:
            raise Undecodable(f"a damaged JPEG: no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, position + 4)
            # A thumbnail inside EXIF has an end marker too, and lies before the frame.
            complete = data.rfind(b"\xff\xd9", position) >= 0
            plain = complete and bits == 8 and channels in (1, 3) and height > 0
            return Header("JPEG", width, height, plain=plain, bits=bits, channels=channels)
        if marker == 0xDA or 0xD0 <= marker <= 0xD9:
            break
        position += 2 + ((data[position + 2] << 8) | data[position + 3])
    raise Undecodable("a JPEG that ends before its size is told: the file is cut short")


def _png_header(data: bytes) -> Header:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Undecodable("a PNG that ends before its size is told: the file is cut short")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    chunks = _png_chunks(data)
    plain = bits == 8 and b"IEND" in chunks and chunks.isdisjoint({b"eXIf", b"acTL"})
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0)
    return Header(
        "PNG", width, height, plain=plain, bits=bits, channels=channels, palette=colour == 3
    )


def _png_chunks(data: bytes) -> set[bytes]:
    """The names of a PNG's chunks, by their lengths; no pixel is read."""
    names, position = set(), len(_PNG_SIGNATURE)
    while position + 8 <= len(data) and b"IEND" not in names:
        names.add(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4])
    return names


def _webp_header(data: bytes) -> Header:
    chunk = data[12:16]
    if len(data) >= 30 and chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif len(data) >= 30 and chunk == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    elif len(data) >= 25 and chunk == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, ((packed >> 14) & 0x3FFF) + 1
    else:
        raise Undecodable("a WebP that ends before its size is told: the file is cut short")
    return Header("WebP", width, height)
