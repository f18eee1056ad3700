"""Bytes to pixels: upright RGB images and class-index masks, or a clear reason why not."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import polars as pl
import simplejpeg
from numpy.typing import NDArray

from iip_assets.images.header import Header, Undecodable, read_header
from iip_assets.images.store import ImageStore

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

__all__ = ["NOT_LABELLED", "Undecodable", "decode_image", "decode_mask"]

NOT_LABELLED = 255
"""The mask value of a pixel that nobody labelled."""

# Pillow expands grey of 2 and 4 bits to 0-255; a mask's pixels are indices, so that is undone.
_GREY_STEP = {2: 85, 4: 17}

# Bits of cameras, in files of 16.
_DEPTHS = (8, 10, 12, 14, 16)
_BITS_PER_SAMPLE, _MOST_VALUE = 258, 281  # tags of TIFF
# What libjpeg says of data that it had to make up.
_MADE_UP = ("Corrupt JPEG data: ", "Premature end of JPEG file", "Inconsistent progression")
_PADDING = re.compile(r"Corrupt JPEG data: ([0-9]{1,2}) extraneous bytes before marker 0xd9")


def decode_image(data: bytes, *, max_megapixels: float) -> NDArray[np.uint8]:
    """An image file as upright (H, W, 3) RGB; alpha and colour profiles are ignored.

    Of an animation or a file of several pages the first frame is used. Of channels of 16 bits the
    highest 8 that are used count: those of the depth that the file tells, if its largest value fits
    into that; else of 8, 10, 12, 14 or 16 bits, the fewest that hold its largest value. A dark
    image of a deeper camera is brightened by that, as nothing in it tells the two apart. Larger
    images are refused from their header, before any memory is taken.

    Raises:
        Undecodable: The file is empty, of another format, cut short, damaged (data that is missing
            inside, too), or too large.
    """
    header = read_header(data)
    _refuse_size(header.width, header.height, max_megapixels)
    pixels = _fast(data, header)
    if pixels is None:
        pixels = _loaded(data, header, max_megapixels, lambda image: _rgb(image, data, header))
    # Pillow and OpenCV turn TIFF upright themselves.
    return pixels if header.kind == "TIFF" else _upright(pixels, header.orientation)


def decode_mask(
    data: bytes, *, height: int, width: int, n_classes: int, turned: bool = False
) -> NDArray[np.uint8]:
    """One mask file as (H, W) class indices: a single-channel PNG, 255 where nobody labelled.

    A palette PNG, as many labeling tools write it, is read by its indices.

    Args:
        data: The whole file.
        height: In pixels, that of the upright image.
        width: In pixels, likewise.
        n_classes: Values below this are known classes.
        turned: The image's EXIF turns it by a quarter, which a mask of another size is told.

    Raises:
        Undecodable: Not a PNG, not single-channel, of another size, damaged, or with a class that
            is not known.
    """
    header = read_header(data)
    if header.kind != "PNG":
        raise Undecodable(
            f"the mask is a {header.kind}; save masks as PNG, which keeps every value"
        )
    if (header.height, header.width) != (height, width):
        if turned and (header.width, header.height) == (height, width):
            raise Undecodable(
                f"the mask is of the image as it is stored, {height}×{width}, which its EXIF turns "
                f"upright, {width}×{height}: turn the mask too"
            )
        raise Undecodable(
            f"the mask is {header.width}×{header.height} pixels, its image {width}×{height}; "
            "export the mask at the image's own size"
        )
    if header.channels != 1:
        raise Undecodable(
            f"the mask has {header.channels} channels; save one channel of class indices"
        )
    mask = _mask_indices(data, header)
    if cv2.countNonZero(cv2.inRange(mask, n_classes, NOT_LABELLED - 1)):
        unknown = [int(one) for one in np.unique(mask) if n_classes <= one != NOT_LABELLED]
        raise Undecodable(
            f"the mask has values {_listing(unknown)}; known are 0 to {n_classes - 1} and "
            f"{NOT_LABELLED} (not labelled); relabel it or add the class to dataset.mask_classes"
        )
    return mask


def _listing(values: list[int], most: int = 5) -> str:
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"


def _refuse_size(width: int, height: int, max_megapixels: float) -> None:
    if width * height > max_megapixels * 1e6:
        raise Undecodable(
            f"{width}×{height} is {width * height / 1e6:,.0f} megapixels, more than "
            f"{max_megapixels:g}; scale it down or raise dataset.max_megapixels"
        )


def _fast(data: bytes, header: Header) -> NDArray[np.uint8] | None:
    """The image as it is stored, (H, W, 3); None where only the careful way may have it."""
    if header.kind == "JPEG":
        if header.plain:
            return _jpeg(data, "RGB")
        # Pillow, which has the others, says nothing of data that is missing inside.
        if header.channels == 4 and header.bits == 8 and header.height:
            _jpeg(data, "CMYK")
        return None
    if not header.plain:
        return None
    if header.bits == 8:
        pixels = _opencv(data, cv2.IMREAD_COLOR_RGB)
        return pixels if pixels is not None and pixels.dtype == np.uint8 else None
    deep = _opencv(data, cv2.IMREAD_UNCHANGED)
    return None if deep is None or deep.dtype != np.uint16 else _deep_rgb(deep, header.true_bits)


def _jpeg(data: bytes, colours: str) -> NDArray[np.uint8] | None:
    """The image, by the same libjpeg-turbo as OpenCV has, which here says what it had to make up.

    Nothing is noticed where the data that stands in place of the lost makes just as many blocks,
    which happens to small holes.

    Returns:
        None for what only Pillow may have, or understands.

    Raises:
        Undecodable: Part of it was made up.
    """
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, colours))
    except ValueError as error:
        fault = str(error)
    if fault.startswith(_MADE_UP) and not _is_padding(data, fault):
        raise Undecodable(
            "a damaged JPEG: the file is cut short, or part of its data is missing or overwritten "
            f"({fault.removeprefix(_MADE_UP[0])})"
        )
    return None


def _is_padding(data: bytes, fault: str) -> bool:
    """Whether the fault is of one byte, repeated before the end marker, as some cameras do."""
    told = _PADDING.fullmatch(fault)
    end = data.rfind(b"\xff\xd9")
    return told is not None and len(set(data[end - int(told[1]) : end])) == 1


def _opencv(data: bytes, flags: int) -> NDArray[Any] | None:
    try:
        # How it is turned is read from the header, for all decoders alike.
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None


def _deep_rgb(deep: NDArray[np.uint16], told_bits: int) -> NDArray[np.uint8]:
    """(H, W, 3) of grey, or of OpenCV's blue, green and red, in 16 bits, with alpha or without."""
    if deep.ndim == 3:
        deep = deep[:, :, 2::-1] if deep.shape[2] >= 3 else deep[:, :, :1]
    else:
        deep = deep[:, :, None]
    bits = int(deep.max(initial=0)).bit_length()
    told = told_bits if bits <= told_bits <= _DEPTHS[-1] else 0
    used = max(told or next(depth for depth in _DEPTHS if bits <= depth), _DEPTHS[0])
    high = (deep >> (used - 8)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(high, (*high.shape[:2], 3)))


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """The stored pixels as the EXIF orientation means them to be seen."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _mask_indices(data: bytes, header: Header) -> NDArray[np.uint8]:
    if header.plain and header.bits == 8 and not header.palette:
        pixels = _opencv(data, cv2.IMREAD_UNCHANGED)
        if pixels is not None and pixels.ndim == 2 and pixels.dtype == np.uint8:
            return pixels
    values = _loaded(data, header, max_megapixels=float("inf"), convert=np.asarray)
    if values.dtype == np.uint16 and values.max(initial=0) > NOT_LABELLED:
        raise Undecodable(
            f"the mask has 16-bit values up to {values.max()}; class indices end at 255"
        )
    indices: NDArray[np.uint8] = values.astype(np.uint8)
    if not header.palette and header.bits in _GREY_STEP:
        indices //= _GREY_STEP[header.bits]
    return indices


def _loaded(data: bytes, header: Header, max_megapixels: float, convert: Any) -> NDArray[Any]:
    """Open with Pillow's reader for this format, check the size, then convert."""
    try:
        with _pillow_reader(header)(io.BytesIO(data)) as image:
            _refuse_size(*image.size, max_megapixels)
            return np.ascontiguousarray(convert(image))
    except Undecodable:
        raise
    # Decoders meet hostile bytes with whatever they have: struct.error, EOFError, OverflowError,
    # SyntaxError …
    except Exception as error:
        raise Undecodable(f"a damaged {header.kind}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = str(error).split("\n", 1)[0]
    if "truncated" in text.lower():
        return f"the file is cut short ({text})"
    return text or type(error).__name__


def _pillow_reader(header: Header) -> type[ImageFile]:
    # The readers are called directly: Image.open would guess among dozens of formats, and its guard
    # against huge images is a process-wide number with a warning.
    if header.kind == "HEIC":
        return _heic_reader()
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    readers: dict[str, type[ImageFile]] = {
        "BMP": BmpImageFile,
        "JPEG": JpegImageFile,
        "JPEG 2000": Jpeg2KImageFile,
        "PNG": PngImageFile,
        "TIFF": TiffImageFile,
        "WebP": WebPImageFile,
    }
    return readers[header.kind]


def _heic_reader() -> type[ImageFile]:
    try:
        from pillow_heif import HeifImageFile
    except ImportError:
        raise Undecodable(
            "a HEIC file, which the package pillow-heif decodes: `pip install pillow-heif`, or "
            "save it as JPEG or PNG"
        ) from None
    reader: type[ImageFile] = HeifImageFile
    return reader


def _rgb(image: ImageFile, data: bytes, header: Header) -> NDArray[np.uint8]:
    """The image as Pillow reads it: TIFF and HEIC upright, others as they are stored."""
    # Only EXIF tells how an image is turned.
    for xmp in ("xmp", "XML:com.adobe.xmp"):
        image.info.pop(xmp, None)
    is_deep = header.bits == _DEPTHS[-1] or any(";16" in str(tile[3]) for tile in image.tile)
    if image.mode in ("RGB", "RGBA") and is_deep:
        # Of these Pillow keeps the high byte alone.
        deep = _opencv(data, cv2.IMREAD_UNCHANGED)
        if deep is not None and deep.dtype == np.uint16:
            return _deep_rgb(deep, 0)
    if image.mode.startswith("I;16"):
        told = _told_bits(image, header)
        return _deep_rgb(np.asarray(image).astype(np.uint16), told)
    if image.mode in ("I", "F"):
        raise Undecodable(
            "pixels of 32 bits have no agreed range of brightness; save 8 or 16 bits a channel"
        )
    if image.mode in ("P", "PA"):
        # A palette with transparency goes to RGB by way of RGBA, or Pillow warns.
        return np.asarray(image.convert("RGBA").convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _told_bits(image: ImageFile, header: Header) -> int:
    """The depth of grey of up to 16 bits; 0 where the file does not tell it."""
    if header.kind == "JPEG 2000" and header.bits < _DEPTHS[-1]:
        return _DEPTHS[-1]  # to which Pillow scales it
    tags = getattr(image, "tag_v2", {})
    bits, most = tags.get(_BITS_PER_SAMPLE, (0,)), tags.get(_MOST_VALUE, (0,))
    return bits[0] if bits[0] < _DEPTHS[-1] else int(most[0]).bit_length()


def image_reader(
    root: Path, image_ids: pl.Series, max_megapixels: float
) -> Callable[[str], NDArray[np.uint8]]:
    """Reads an image (H, W, 3) by its id; at the first call all of `image_ids` are fetched."""
    stores: list[ImageStore] = []

    def read(image_id: str) -> NDArray[np.uint8]:
        if not stores:
            store = ImageStore.open(root)
            store.fetch(image_ids.to_list())
            stores.append(store)
        return decode_image(stores[0].read(image_id), max_megapixels=max_megapixels)

    return read
