"""Any file becomes upright RGB pixels, or a clear reason."""

import io
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from iip_assets.images.decode import Undecodable, decode_image, decode_mask
from iip_assets_tests.dataset.images import encoded, png_header, raw_png, scene

SCENE = scene()


def decode(data: bytes) -> np.ndarray:
    return decode_image(data, max_megapixels=50)


def near(got: np.ndarray, wanted: np.ndarray, within: float) -> bool:
    return (
        got.shape == wanted.shape
        and np.abs(got.astype(float) - wanted.astype(float)).mean() <= within
    )


@pytest.mark.parametrize(
    ("kind", "options", "within"),
    [
        ("JPEG", {"quality": 95}, 4),
        ("JPEG", {"quality": 95, "progressive": True}, 4),
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WebP", {"lossless": True}, 0),
        ("WebP", {"quality": 95}, 6),
    ],
)
def test_every_format_is_read_as_rgb(kind, options, within):
    got = decode(encoded(SCENE, kind, **options))
    assert got.dtype == np.uint8
    assert near(got, SCENE, within)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WebP"])
def test_alpha_is_ignored(kind):
    rgba = np.dstack([SCENE, np.full(SCENE.shape[:2], 255, np.uint8)])
    assert near(decode(encoded(rgba, kind, lossless=True)), SCENE, 0)


def test_grey_becomes_three_equal_channels():
    for kind in ("JPEG", "PNG", "TIFF", "BMP"):
        got = decode(encoded(SCENE, kind, "L"))
        assert got.shape == SCENE.shape
        assert (got[..., 0] == got[..., 2]).all()


def test_grey_with_alpha_is_read():
    assert near(decode(encoded(SCENE, "PNG", "LA")), decode(encoded(SCENE, "PNG", "L")), 0)


def test_palettes_are_read_as_their_colours_with_and_without_transparency():
    palette = Image.fromarray(SCENE).quantize(32)
    wanted = np.asarray(palette.convert("RGB"))
    for options in ({}, {"transparency": 3}, {"transparency": bytes(range(32))}):
        buffer = io.BytesIO()
        palette.save(buffer, "PNG", **options)
        assert near(decode(buffer.getvalue()), wanted, 0)


def test_cmyk_jpeg_shows_its_colours():
    cmyk = encoded(SCENE, "JPEG", "CMYK", quality=95)
    assert near(decode(cmyk), SCENE, 8)


def test_32_bit_pixels_are_refused():
    with pytest.raises(Undecodable, match="32 bits"):
        decode(encoded(SCENE[..., 0].astype(np.float32), "TIFF"))


@pytest.mark.parametrize("kind", ["TIFF", "WebP", "PNG"])
def test_of_several_frames_the_first_is_used(kind):
    frames = [Image.fromarray(scene(seed=n)) for n in (0, 1)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:], lossless=True)
    assert near(decode(buffer.getvalue()), SCENE, 0)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("WebP", {}),
    ],
)
def test_a_file_that_was_cut_short_is_refused(kind, options, kept):
    data = encoded(scene(120, 160), kind, **options)
    with pytest.raises(Undecodable, match=r"cut short|damaged"):
        decode(data[: int(len(data) * kept)])


def test_a_jpeg_cut_after_its_exif_thumbnail_is_refused():
    # The thumbnail brings an end marker of its own.
    exif = b"Exif\0\0" + encoded(scene(24, 32), "JPEG")
    data = encoded(scene(120, 160), "JPEG", exif=exif)
    with pytest.raises(Undecodable, match="cut short"):
        decode(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        ("Größe, kein Bild\n".encode(), "text file"),
        (("é" * 200).encode()[:255], "text file"),
        (b"<html><body>404</body></html>", "HTML"),
        (b"GIF89a" + b"\0" * 50, "GIF"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 50, "HEIC"),
        (b"%PDF-1.7", "PDF"),
        (b"version https://git-lfs.github.com/spec/v1", "git-lfs"),
        (b"\x89PNG\r\n\x1a\n", "cut short"),
        (b"\xff\xd8\xff\xe0", "cut short"),
        (b"BM", "expected JPEG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "cut short"),
        (bytes(range(200, 256)), "begins with c8 c9"),
    ],
)
def test_what_is_no_image_is_named(data, reason):
    with pytest.raises(Undecodable, match=reason):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        png_header(30_000, 30_000),
        b"\xff\xd8\xff\xc0\x00\x11\x08\x75\x30\x75\x30\x03" + b"\0" * 50 + b"\xff\xd9",
        b"BM" + b"\0" * 12 + struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 24, *(0,) * 6),
        b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (29_999).to_bytes(3, "little") * 2,
    ],
    ids=["png", "jpeg", "bmp", "webp"],
)
def test_a_huge_image_is_refused_from_its_header(data):
    tracemalloc.start()
    with pytest.raises(Undecodable, match=r"30000×30000 is 900 megapixels"):
        decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_the_size_limit_is_the_callers():
    data = encoded(SCENE, "PNG")
    with pytest.raises(Undecodable, match="max_megapixels"):
        decode_image(data, max_megapixels=0.003)
    assert decode_image(data, max_megapixels=0.0031).shape == SCENE.shape


FILES = [
    encoded(scene(24, 32), kind, **options)
    for kind, options in (
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WebP", {}),
    )
]


@settings(max_examples=300, deadline=None)
@given(
    file=st.sampled_from(FILES),
    edits=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8),
    cut=st.none() | st.integers(0, 2000),
)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_damaged_bytes_give_an_image_or_a_reason(file, edits, cut):
    data = bytearray(file)
    for place, value in edits:
        data[place % len(data)] = value
    try:
        pixels = decode_image(bytes(data[:cut]), max_megapixels=1)
    except Undecodable:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3


MASK = np.zeros((48, 64), np.uint8)
MASK[10:30, 10:50], MASK[15:25, 20:40], MASK[0, :5] = 1, 2, 255


def test_a_mask_comes_back_as_it_was():
    got = decode_mask(encoded(MASK, "PNG"), height=48, width=64, n_classes=4)
    assert got.dtype == np.uint8
    assert (got == MASK).all()


def test_a_palette_mask_is_read_by_its_indices():
    image = Image.fromarray(MASK, "L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([n * 7 % 256 for n in range(768)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    got = decode_mask(buffer.getvalue(), height=48, width=64, n_classes=4)
    assert (got == MASK).all()


def _grey_png(indices: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits a pixel."""
    per_byte = 8 // bits
    rows = indices.reshape(indices.shape[0], -1, per_byte).astype(np.uint8)
    packed = np.zeros(rows.shape[:2], np.uint8)
    for place in range(per_byte):
        packed |= rows[..., place] << (8 - bits * (place + 1))
    body = b"".join(b"\0" + row.tobytes() for row in packed)
    return raw_png(indices.shape[1], indices.shape[0], bits=bits, colour=0, rows=body)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_mask_of_few_bits_keeps_its_indices(bits):
    indices = np.arange(16 * 16).reshape(16, 16) % min(2**bits, 4)
    got = decode_mask(_grey_png(indices, bits), height=16, width=16, n_classes=4)
    assert (got == indices).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded(MASK, "JPEG"), "mask is a JPEG"),
        (encoded(MASK[:40], "PNG"), "64×40 pixels, its image 64×48"),
        (encoded(MASK, "PNG", "RGB"), "3 channels"),
        (encoded(MASK, "PNG", "RGBA"), "4 channels"),
        (encoded(np.where(MASK == 2, 7, MASK).astype(np.uint8), "PNG"), "values 7; known"),
        (encoded(MASK.astype(np.uint16) * 257, "PNG"), "16-bit values"),
        (encoded(MASK, "PNG")[:-40], "damaged PNG"),
        (b"", "empty"),
        (png_header(30_000, 30_000), "30000×30000"),
    ],
)
def test_a_mask_that_cannot_be_used_says_why(data, reason):
    with pytest.raises(Undecodable, match=reason):
        decode_mask(data, height=48, width=64, n_classes=4)


def test_only_the_given_classes_are_known():
    with pytest.raises(Undecodable, match="values 2; known are 0 to 1 and 255"):
        decode_mask(encoded(MASK, "PNG"), height=48, width=64, n_classes=2)
