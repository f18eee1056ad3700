"""Bytes to pixels: upright RGB images and class-index masks, or a clear reason why not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
import polars as pl
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


def decode_image(data: bytes, *, max_megapixels: float) -> NDArray[np.uint8]:
    """An image file as upright (H, W, 3) RGB; alpha and colour profiles are ignored.

    Of an animation or a file of several pages the first frame is used. 16-bit channels keep their
    high byte. Larger images are refused from their header, before any memory is taken.

    Raises:
        Undecodable: The file is empty, of another format, cut short, damaged or too large.
    """
    header = read_header(data)
    _refuse_size(header.width, header.height, max_megapixels)
    if header.plain:
        # OpenCV turns JPEG images upright by their EXIF orientation.
        pixels = _opencv(data, cv2.IMREAD_COLOR_RGB)
        if pixels is not None and pixels.ndim == 3:
            return pixels
    return cast("NDArray[np.uint8]", _loaded(data, header, max_megapixels, _upright_rgb))


def decode_mask(data: bytes, *, height: int, width: int, n_classes: int) -> NDArray[np.uint8]:
    """One mask file as (H, W) class indices: a single-channel PNG, 255 where nobody labelled.

    A palette PNG, as many labeling tools write it, is read by its indices.

    Args:
        data: The whole file.
        height: In pixels, that of the upright image.
        width: In pixels, likewise.
        n_classes: Values below this are known classes.

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


def _opencv(data: bytes, flags: int) -> NDArray[np.uint8] | None:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    # Trust no header: a decoder that disagrees on depth hands the file to the careful way.
    return pixels if pixels is not None and pixels.dtype == np.uint8 else None


def _mask_indices(data: bytes, header: Header) -> NDArray[np.uint8]:
    if header.plain and not header.palette:
        pixels = _opencv(data, cv2.IMREAD_UNCHANGED)
        if pixels is not None and pixels.ndim == 2:
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
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.TiffImagePlugin import TiffImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    readers: dict[str, type[ImageFile]] = {
        "BMP": BmpImageFile,
        "JPEG": JpegImageFile,
        "PNG": PngImageFile,
        "TIFF": TiffImageFile,
        "WebP": WebPImageFile,
    }
    return readers[header.kind]


def _upright_rgb(image: ImageFile) -> NDArray[np.uint8]:
    from PIL.ImageOps import exif_transpose

    upright = exif_transpose(image)
    if upright.mode.startswith("I;16"):
        grey = np.asarray(upright).astype(np.uint16) >> 8
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if upright.mode in ("I", "F"):
        raise Undecodable(
            "pixels of 32 bits have no agreed range of brightness; save 8 or 16 bits a channel"
        )
    if upright.mode in ("P", "PA"):
        # A palette with transparency goes to RGB by way of RGBA, or Pillow warns.
        upright = upright.convert("RGBA")
    return np.asarray(upright.convert("RGB"))


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
