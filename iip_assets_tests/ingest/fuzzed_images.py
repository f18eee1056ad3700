"""SoundImage files for fuzzed batches: sound ones in every format, and ones that are none."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from PIL import Image

from iip_assets.images.store import content_md5
from iip_assets_tests.dataset.images import encoded, png_header, scene


@dataclass(frozen=True)
class SoundImage:
    """A sound image file with its upright size in pixels."""

    data: bytes
    suffixes: tuple[str, ...]
    height: int
    width: int

    @property
    def md5(self) -> str:
        return content_md5(self.data)


@cache
def sound_images() -> tuple[SoundImage, ...]:
    """Sound images, no two alike, in every format and with every oddity that cameras have."""
    made: list[SoundImage] = []

    def add(data: bytes, *suffixes: str, height: int = 48, width: int = 64) -> None:
        made.append(SoundImage(data, suffixes, height, width))

    for seed in range(6):
        height, width = (48, 64) if seed % 2 else (30, 41)
        pixels = scene(height, width, seed)
        add(encoded(pixels, "JPEG"), ".jpg", ".JPEG", ".Jpg", height=height, width=width)
        add(encoded(pixels, "PNG"), ".png", ".PNG", height=height, width=width)
    turned = Image.Exif()
    turned[0x0112] = 6
    add(encoded(scene(seed=20), "JPEG", exif=turned), ".jpg", height=64, width=48)
    add(encoded(scene(seed=21), "JPEG", "CMYK"), ".jpeg")
    add(encoded(scene(seed=22), "PNG", "P"), ".png")
    add(encoded(scene(seed=23), "PNG", "RGBA"), ".png")
    add(encoded(scene(seed=24), "JPEG", "L"), ".jpg")
    add(encoded(scene(seed=25), "BMP"), ".bmp", ".BMP")
    add(encoded(scene(seed=26), "TIFF", compression="tiff_lzw"), ".tif", ".tiff")
    add(encoded(scene(seed=27), "WEBP"), ".webp")
    deep = cv2.imencode(".png", scene(seed=28).astype(np.uint16) * 257)[1]
    add(deep.tobytes(), ".png")
    # The format is told by the bytes, not by the name.
    add(encoded(scene(seed=29), "PNG"), ".jpg")
    return tuple(made)


@cache
def mask_of(height: int, width: int, fill: int = 2, kind: str = "plain") -> bytes:
    """A sound mask, or with another `kind` one that is not, each kind in its own way."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 :, width // 4 :] = fill
    mask[0, 0] = 255
    if kind == "palette":
        image = Image.fromarray(mask).convert("P")
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return buffer.getvalue()
    if kind == "colour":
        return encoded(np.stack([mask] * 3, axis=2), "PNG")
    if kind == "jpeg":
        return encoded(mask, "JPEG")
    data = encoded(mask, "PNG")
    return data[: len(data) // 2] if kind == "cut" else data


@cache
def broken_images() -> dict[str, tuple[bytes, str]]:
    """Files that are no images, by name, each with a word of the reason that must be given."""
    jpeg = encoded(scene(seed=40), "JPEG")
    png = encoded(scene(seed=41), "PNG")
    return {
        "JPEG cut short": (jpeg[: len(jpeg) // 2], "cut short"),
        "PNG cut short": (png[: len(png) // 2], "cut short"),
        "JPEG cut in its header": (jpeg[:40], "cut short"),
        "empty file": (b"", "is empty"),
        "text": (b"Dear all, the image is in the other mail.\n", "a text file"),
        "GIF": (encoded(scene(seed=42), "GIF"), "a GIF"),
        "PDF": (b"%PDF-1.7\n\0\xff", "a PDF"),
        "git-lfs pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        "HTML": (b"<html><body>404</body></html>", "HTML"),
        "bomb": (png_header(60_000, 60_000), "megapixels"),
        "PNG with damaged pixels": (png_header(64, 48), "damaged"),
    }
