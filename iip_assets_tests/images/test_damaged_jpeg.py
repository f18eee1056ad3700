"""A JPEG that lacks data inside is refused, whatever stands at its end; a whole one never is."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from iip_assets.images.decode import Undecodable, decode_image
from iip_assets_tests.dataset.images import encoded, scene

KINDS = {
    "baseline": {"quality": 90},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_blocks": 4},
    "no subsampling": {"quality": 95, "subsampling": 0},
    "grey": {"mode": "L", "quality": 90},
    "cmyk": {"mode": "CMYK", "quality": 90},
}
SCENE = scene(120, 160)


def jpeg(kind: str) -> bytes:
    return encoded(SCENE, "JPEG", **KINDS[kind])


def entropy(data: bytes) -> int:
    """Where the compressed data begins."""
    place = data.index(b"\xff\xda")
    return place + 2 + int.from_bytes(data[place + 2 : place + 4])


def _cut(data: bytes, share: float) -> bytes:
    start = entropy(data)
    return data[: start + int((len(data) - start) * share)] + b"\xff\xd9"


def _overwritten(data: bytes, share: float, fill: bytes = b"\0") -> bytes:
    start = entropy(data)
    place = start + int((len(data) - start) * share)
    size = (len(data) - place - 2) // 3
    return data[:place] + (fill * size)[:size] + data[place + size :]


def _left_out(data: bytes, share: float) -> bytes:
    start = entropy(data)
    place = start + int((len(data) - start) * share)
    return data[:place] + data[place + (len(data) - place) // 3 :]


DAMAGES = {
    "cut, with an end marker": _cut,
    "zeroed": _overwritten,
    "overwritten with U": lambda data, share: _overwritten(data, share, b"U"),
    "overwritten with text": lambda data, share: _overwritten(data, share, b"lorem ipsum "),
    "a block left out": _left_out,
}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_data_that_is_missing_inside_is_found(kind, damage, share):
    data = DAMAGES[damage](jpeg(kind), share)
    assert data.endswith(b"\xff\xd9")
    with pytest.raises(Undecodable, match="a damaged JPEG"):
        decode_image(data, max_megapixels=1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_around_a_whole_image_does_no_harm(kind, capfd):
    whole = decode_image(jpeg(kind), max_megapixels=1)
    data = jpeg(kind)
    for odd in (
        data + b"\0" * 100 + b"video",
        data + data,
        data[:-2] + b"\0" * 16 + data[-2:],
        data[:-2] + b"\xff" * 9 + data[-2:],
        data.replace(b"JFIF\0\x01", b"JFIF\0\x02", 1),
    ):
        assert (decode_image(odd, max_megapixels=1) == whole).all()
    assert capfd.readouterr().err == ""


def test_a_camera_that_writes_odd_parameters_is_understood():
    data = bytearray(jpeg("baseline"))
    data[entropy(bytes(data)) - 2] = 0
    whole = decode_image(jpeg("baseline"), max_megapixels=1)
    assert (decode_image(bytes(data), max_megapixels=1) == whole).all()


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (16, 16), (33, 17), (121, 163)])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "cmyk"])
def test_the_pixels_are_those_of_opencv(kind, size):
    data = encoded(scene(*size), "JPEG", **KINDS[kind])
    wanted = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert (decode_image(data, max_megapixels=1) == wanted).all()


def _with_scans(count: int) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = encoded(SCENE, "JPEG", progressive=True)
    place = data.rindex(b"\xff\xda")
    return data[:-2] + data[place:-2] * count + data[-2:]


def test_a_jpeg_of_hundreds_of_scans_is_refused_by_name():
    with pytest.raises(Undecodable, match="more than 100 scans"):
        decode_image(_with_scans(400), max_megapixels=1)


def test_scans_are_those_of_the_image_not_of_what_lies_behind_it():
    data = jpeg("progressive")
    whole = decode_image(data, max_megapixels=1)
    film = data + jpeg("progressive") * 60 + b"\xff\xda" * 500
    assert (decode_image(film, max_megapixels=1) == whole).all()


def test_every_scan_of_a_real_encoder_is_decoded():
    buffer = io.BytesIO()
    Image.fromarray(SCENE).save(buffer, "JPEG", progressive=True, quality=100, subsampling=0)
    assert decode_image(buffer.getvalue(), max_megapixels=1).shape == SCENE.shape
