"""A batch in which everything is wrong that a team's first delivery gets wrong."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from iip_assets_tests.dataset.images import encoded, scene

BATCH = "2026-09-hostile"
HEIGHT, WIDTH = 48, 64

# The first row below the header is row 2, as the quarantine and spreadsheets count them.
LABELS = """\
image,mask,label,age_years,site
images/truncated.jpg,,full,30,
images/empty.jpg,,full,30,
images/text.jpg,,full,30,
images/bomb.png,,full,30,
images/cmyk.jpg,,full,30,Lagos
images/deep.png,,full,30,
images/turned.jpg,,full,30,
images/small_mask.jpg,masks/small.png,full,30,
images/odd_class.jpg,masks/odd_class.png,full,30,
images/young.jpg,,full,-3,
../../x.jpg,,full,30,
images/twice.jpg,,full,30,
images/twice.jpg,,none,30,
images/gone.jpg,,full,30,
"""
UNDECODABLE = ("truncated.jpg", "empty.jpg", "text.jpg", "bomb.png")
UNUSUAL = ("cmyk.jpg", "deep.png", "turned.jpg")


def write_hostile_batch(data: Path) -> None:
    """Writes the batch below `data/batches`, and the sound `data/x.jpg` that a row reaches for."""
    batch = data / "batches" / BATCH
    for folder in ("images", "masks"):
        (batch / folder).mkdir(parents=True)
    for name, content in _images().items():
        (batch / "images" / name).write_bytes(content)
    (batch / "masks" / "small.png").write_bytes(_mask(HEIGHT // 2, WIDTH // 2, 2))
    (batch / "masks" / "odd_class.png").write_bytes(_mask(HEIGHT, WIDTH, 9))
    (batch / "labels.csv").write_text(LABELS)
    (data / "x.jpg").write_bytes(_jpeg(99))


def _images() -> dict[str, bytes]:
    sound = {
        name: _jpeg(seed)
        for seed, name in enumerate(("small_mask.jpg", "odd_class.jpg", "young.jpg", "twice.jpg"))
    }
    truncated = _jpeg(10)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held upright
    deep = cv2.imencode(".png", scene(HEIGHT, WIDTH, 12)[..., ::-1].astype(np.uint16) * 257)[1]
    return sound | {
        "truncated.jpg": truncated[: len(truncated) // 2],
        "empty.jpg": b"",
        "text.jpg": b"Dear all, the image is in the other mail.\n",
        "bomb.png": _one_bit_png(30_000, 30_000),
        "cmyk.jpg": encoded(scene(HEIGHT, WIDTH, 11), "JPEG", "CMYK", quality=95),
        "deep.png": deep.tobytes(),
        "turned.jpg": encoded(scene(HEIGHT, WIDTH, 13), "JPEG", quality=95, exif=turned),
    }


def _jpeg(seed: int) -> bytes:
    return encoded(scene(HEIGHT, WIDTH, seed), "JPEG", quality=95)


def _mask(height: int, width: int, value: int) -> bytes:
    return encoded(np.full((height, width), value, np.uint8), "PNG")


def _one_bit_png(width: int, height: int) -> bytes:
    """A sound black PNG, packed row by row: 110 kB that unfold to gigabytes of RGB."""
    row = bytes(1 + (width + 7) // 8)
    squeeze = zlib.compressobj(1)
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    pixels = b"".join(
        [*(squeeze.compress(row * 100) for _ in range(height // 100)), squeeze.flush()]
    )
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    for name, body in ((b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")):
        check = struct.pack(">I", zlib.crc32(name + body))
        out.write(struct.pack(">I", len(body)) + name + body + check)
    return out.getvalue()
