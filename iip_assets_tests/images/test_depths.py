"""Cameras of 10 to 14 bits, in files of 16, come in as bright as they are; every format is read."""

import io
import struct
import sys
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from iip_assets.images.decode import Undecodable, decode_image
from iip_assets_tests.dataset.images import encoded, scene

SCENE = scene()
GREY = SCENE[..., 0].copy()
GREY[0, 0] = 255


def read(data: bytes) -> np.ndarray:
    return decode_image(data, max_megapixels=1)


def _tiff(deep: np.ndarray, **tags) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        info[int(tag[1:])] = value
    return encoded(deep, "TIFF", tiffinfo=info)


def _colour(kind: str):
    return lambda deep: cv2.imencode(kind, np.dstack([deep] * 3))[1].tobytes()


def _alpha(deep: np.ndarray) -> bytes:
    alpha = np.full_like(deep, 65535)
    return cv2.imencode(".png", np.dstack([deep, deep, deep, np.minimum(alpha, deep.max())]))[
        1
    ].tobytes()


FORMS = {
    "png": lambda deep: encoded(deep, "PNG"),
    "tiff": _tiff,
    "packed tiff": lambda deep: encoded(deep, "TIFF", compression="tiff_lzw"),
    "big-endian tiff": lambda deep: encoded(deep.astype(">u2"), "TIFF"),
    "colour png": _colour(".png"),
    "colour tiff": _colour(".tif"),
    "alpha png": _alpha,
    "jpeg 2000": lambda deep: encoded(deep, "JPEG2000"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_highest_8_bits_that_are_used_count(form, bits):
    deep = GREY.astype(np.uint16) << (bits - 8)
    got = read(FORMS[form](deep))
    assert got.shape == SCENE.shape
    assert (got == GREY[..., None]).all()


def test_full_range_of_16_bits_keeps_its_high_byte():
    for form in FORMS.values():
        assert (read(form(GREY.astype(np.uint16) * 257))[..., 1] == GREY).all()


def test_bits_that_are_stored_at_the_top_are_not_moved():
    # As the PNG standard wants 12 bits in 16.
    assert (read(encoded(GREY.astype(np.uint16) << 8, "PNG"))[..., 0] == GREY).all()


def _with_sbit(png: bytes, bits: int) -> bytes:
    chunk = b"sBIT" + bytes([bits])
    whole = struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:33] + whole + png[33:]


@pytest.mark.parametrize("dark", [GREY // 4, GREY // 16, GREY * 0])
def test_a_depth_that_the_file_tells_keeps_dark_images_dark(dark):
    deep = dark.astype(np.uint16) << 4
    for data in (
        _with_sbit(encoded(deep, "PNG"), 12),
        _tiff(deep, _281=4095),
    ):
        assert (read(data)[..., 0] == dark).all()


def test_a_black_image_is_black():
    for form in FORMS.values():
        assert not read(form(np.zeros((8, 8), np.uint16))).any()


@pytest.mark.parametrize("suffix", ["jp2", "j2k"])
def test_jpeg_2000_is_read(suffix):
    data = encoded(SCENE, "JPEG2000", no_jp2=suffix == "j2k")
    assert (read(data) == SCENE).all()
    assert (read(encoded(GREY, "JPEG2000"))[..., 2] == GREY).all()
    deep = GREY.astype(np.uint16) * 257
    assert (read(encoded(deep, "JPEG2000"))[..., 0] == GREY).all()
    with pytest.raises(Undecodable, match="damaged JPEG 2000"):
        read(data[: len(data) // 2])
    with pytest.raises(Undecodable, match="megapixels"):
        decode_image(data, max_megapixels=0.001)


@pytest.mark.parametrize("dark", [GREY, GREY // 16])
def test_jpeg_2000_of_12_bits_a_sample_is_as_bright_as_it_is(dark):
    # The middle of the range is what moves where 16 bits are said to be 12.
    middle = (1 << 15) - (1 << 11)
    data = bytearray(encoded((dark.astype(np.uint16) << 4) + middle, "JPEG2000", no_jp2=True))
    assert data[42] == 15
    data[42] = 11
    assert (read(bytes(data))[..., 0] == dark).all()


def test_colours_of_jpeg_2000_in_16_bits_are_as_bright_as_they_are():
    got = read(_colour(".jp2")(GREY.astype(np.uint16) << 4))  # written with a little loss
    assert np.abs(got.astype(int) - GREY[..., None]).mean() < 2


def _heic() -> bytes:
    heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    heif.from_pillow(Image.fromarray(SCENE)).save(buffer, quality=100)
    return buffer.getvalue()


def test_heic_is_read():
    data = _heic()
    assert np.abs(read(data).astype(int) - SCENE).mean() < 6
    with pytest.raises(Undecodable, match="damaged HEIC"):
        read(data[: len(data) // 2])


def test_without_its_decoder_a_heic_file_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Undecodable, match="pip install pillow-heif"):
        read(b"\0\0\0\x18ftypheic" + b"\0" * 50)
