"""What an image file says of itself, no pixel decoded: format, size, depth and how it is turned.

A file of a few kilobytes may claim an image of gigabytes, or of hundreds of passes over it, so this
is known before any decoder sees it. How an image is turned is told by its EXIF alone, as browsers
and labeling tools read it, and is read here for every decoder.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["JPEG", "PNG", "BMP", "TIFF", "WebP", "JPEG 2000", "HEIC"]
KNOWN = "expected JPEG, PNG, BMP, TIFF, WebP, JPEG 2000 or HEIC"

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers (ITU-T T.81, table B.1): C0-CF but for C4 (Huffman), C8 (reserved), CC
# (arithmetic).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Each scan of a progressive JPEG goes over the whole image; encoders write about ten.
_MOST_SCANS = 100
# A marker within compressed data: FF, and neither an escaped FF nor a restart.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_BASELINE = frozenset((0xC0, 0xC1))
_ZEROS = b"\0" * 64
_CODESTREAM = b"\xff\x4f\xff\x51"
_JPEG_2000 = (_CODESTREAM, b"\0\0\0\x0cjP  \r\n\x87\n")
_SAMPLE_DEPTH = 42  # where Ssiz stands in a codestream (ITU-T T.800, table A.9)
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_ORIENTATION = 0x0112
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
    # Complete, one frame, grey, RGB or palette: a fast decoder may have it. All else takes the
    # careful way.
    plain: bool = False
    bits: int = 8  # bits a channel where the header says so, else 8
    channels: int = 3  # channels as stored; 1 for a palette
    palette: bool = False  # the pixels are indices into a palette
    # 1 to 8 as EXIF counts them; from 5 on width and height change places. Of a HEIC always 1: what
    # its EXIF says is not what turns it.
    orientation: int = 1
    true_bits: int = 0  # how many of the bits are said to be used; 0 where nothing is said

    @property
    def turned(self) -> bool:
        """Upright, the image is as wide as it is stored high."""
        return self.orientation >= 5


def read_header(data: bytes) -> Header:
    """The header of an image file; pixels are not touched.

    Size is (0, 0) where Pillow reads the header as cheaply as we could: all but JPEG, PNG and WebP.
    How a TIFF is turned is told all the same, though Pillow turns TIFF and HEIC upright itself.

    Raises:
        Undecodable: The bytes are empty, of another format, or the header is cut short.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg_header(data)
    if data.startswith(_PNG_SIGNATURE):
        return _png_header(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_header(data)
    kind = _kind_by_pillow(data)
    if kind == "TIFF":  # a block of EXIF is built as a TIFF is
        return Header(kind, 0, 0, orientation=exif_orientation(data))
    if kind == "JPEG 2000":
        return Header(kind, 0, 0, bits=_jpeg_2000_bits(data))
    if kind is not None:
        return Header(kind, 0, 0)
    raise Undecodable(_stranger(data))


def _kind_by_pillow(data: bytes) -> Kind | None:
    """The format of a file whose header Pillow reads, by its first bytes."""
    if data.startswith(b"BM") and len(data) >= 26:
        return "BMP"
    if data[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    if data.startswith(_JPEG_2000):
        return "JPEG 2000"
    return "HEIC" if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS else None


def _jpeg_2000_bits(data: bytes) -> int:
    place = data.find(_CODESTREAM) + _SAMPLE_DEPTH
    # The highest bit is whether there are values below 0.
    return (data[place] & 0x7F) + 1 if _SAMPLE_DEPTH <= place < len(data) else 8


def _stranger(data: bytes) -> str:
    wanted = f"; {KNOWN}"
    if not data:
        return "the file is empty (0 bytes)"
    if data[4:8] == b"ftyp":
        return f"a video or an AVIF file{wanted}"
    for start, name in _KNOWN_STRANGERS:
        if data.lstrip().startswith(start):
            return f"{name}{wanted}"
    if b"\0" not in data[:256] and _is_text(data[:256]):
        return f"a text file, no image{wanted}"
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


def exif_orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, that a block of EXIF tells; 1 where it tells none."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return 1
    (place,) = struct.unpack_from(f"{order}I", exif, 4)
    if place + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(f"{order}H", exif, place)
    for entry in range(place + 2, min(place + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", exif, entry)
        if tag == _ORIENTATION:
            form = {3: "H", 4: "I"}.get(kind)
            found = struct.unpack_from(f"{order}{form}", exif, entry + 8)[0] if form else 1
            return found if 1 <= found <= 8 else 1
    return 1


def _jpeg_header(data: bytes) -> Header:
    position, end, exif = 2, len(data), b""
    while position + 9 < end:
        if data[position] != 0xFF:
            raise Undecodable(f"a damaged JPEG: no marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        length = (data[position + 2] << 8) | data[position + 3]
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack_from(">BHHB", data, position + 4)
            _refuse_scans(data, position + 2 + length)
            if marker in _BASELINE:
                _refuse_zeros(data, position + 2 + length)
            # A thumbnail inside EXIF has an end marker too, and lies before the frame.
            complete = data.rfind(b"\xff\xd9", position) >= 0
            plain = complete and bits == 8 and channels in (1, 3) and height > 0
            return Header(
                "JPEG",
                width,
                height,
                plain=plain,
                bits=bits,
                channels=channels,
                orientation=exif_orientation(exif),
            )
        if marker == 0xDA or 0xD0 <= marker <= 0xD9:
            break
        if marker == 0xE1 and not exif and data[position + 4 : position + 10] == b"Exif\0\0":
            exif = data[position + 4 : position + 2 + length]
        position += 2 + length
    raise Undecodable("a JPEG that ends before its size is told: the file is cut short")


def _refuse_scans(data: bytes, position: int) -> None:
    """Refuses an image of too many scans, from the first marker behind its size on."""
    # Counting is cheap; what it finds may lie behind the image (a video, another image).
    if data.count(b"\xff\xda", position) <= _MOST_SCANS:
        return
    scans = 0
    for place, marker in _markers(data, position):
        if marker == 0xD9:
            return
        if marker == 0xDA and (scans := scans + 1) > _MOST_SCANS:
            raise Undecodable(
                f"a JPEG of more than {_MOST_SCANS} scans (another one begins at byte {place}), "
                "each of which costs a pass over the image; save it again as an ordinary JPEG"
            )


def _refuse_zeros(data: bytes, position: int) -> None:
    """Refuses a block of zeros in place of compressed data, which decoders take for blocks.

    Read with the tables of nearly every encoder, zeros are blocks of which no coefficient is 0, as
    no camera sees them. Where they mean flat blocks, nothing is said.
    """
    hole = data.find(_ZEROS, position)
    if hole < 0:
        return
    segment, zeros_end_a_block = 0, True
    for place, marker in _markers(data, position):
        if place > hole:
            break
        segment = marker
        if marker == 0xC4:
            tables = data[place + 4 : place + 2 + int.from_bytes(data[place + 2 : place + 4])]
            while len(tables) > 17:
                if tables[0] == 0x10:  # of brightness, but for its mean
                    # The first value has the code of zeros alone; 0 ends a block.
                    zeros_end_a_block = tables[17] & 15 == 0
                tables = tables[17 + sum(tables[1:17]) :]
    if segment == 0xDA and not zeros_end_a_block:
        raise Undecodable(
            f"a damaged JPEG: its data is overwritten with zeros from byte {hole} on; take the "
            "file from its source again"
        )


def _markers(data: bytes, position: int) -> Iterator[tuple[int, int]]:
    """Place and marker of each segment from `position` on; what a segment holds is passed over."""
    while (found := _MARKER.search(data, position)) is not None:
        place, marker = found.start(), data[found.end() - 1]
        yield place, marker
        position = place + 2 + int.from_bytes(data[place + 2 : place + 4])


def _png_header(data: bytes) -> Header:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Undecodable("a PNG that ends before its size is told: the file is cut short")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    chunks = _png_chunks(data)
    plain = bits in (8, 16) and b"IEND" in chunks and b"acTL" not in chunks
    return Header(
        "PNG",
        width,
        height,
        plain=plain,
        bits=bits,
        channels={0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0),
        palette=colour == 3,
        orientation=exif_orientation(chunks.get(b"eXIf", b"")),
        true_bits=max(chunks.get(b"sBIT", b""), default=0),
    )


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """A PNG's chunks by name, by their lengths; of those that hold pixels the names alone."""
    chunks: dict[bytes, bytes] = {}
    position = len(_PNG_SIGNATURE)
    while position + 8 <= len(data) and b"IEND" not in chunks:
        length, name = struct.unpack_from(">I4s", data, position)
        told = b"" if name == b"IDAT" else data[position + 8 : position + 8 + length]
        chunks.setdefault(name, told)
        position += 12 + length
    return chunks


def _webp_header(data: bytes) -> Header:
    chunk, exif = data[12:16], b""
    if len(data) >= 30 and chunk == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
        exif = _webp_exif(data)
    elif len(data) >= 30 and chunk == b"VP8 ":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    elif len(data) >= 25 and chunk == b"VP8L":
        packed = int.from_bytes(data[21:25], "little")
        width, height = (packed & 0x3FFF) + 1, ((packed >> 14) & 0x3FFF) + 1
    else:
        raise Undecodable("a WebP that ends before its size is told: the file is cut short")
    return Header("WebP", width, height, orientation=exif_orientation(exif))


def _webp_exif(data: bytes) -> bytes:
    position = 12
    while position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        if name == b"EXIF":
            return data[position + 8 : position + 8 + length]
        position += 8 + length + length % 2
    return b""
