"""One rule of orientation, the EXIF's, for every format, depth and decoder."""

import io
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from iip_assets.dataset.fingerprints import fingerprint
from iip_assets.images.decode import Undecodable, decode_image, decode_mask
from iip_assets.images.header import exif_orientation, read_header
from iip_assets_tests.dataset.images import encoded, scene

SCENE = scene()
# How an image that EXIF describes so is meant to be seen (CIPA DC-008, table 6).
UPRIGHT = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.swapaxes(stored, 0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(np.swapaxes(stored, 0, 1), 2),
    8: lambda stored: np.rot90(stored, 1),
}
BLACK = Image.new("RGB", (64, 48))
# Each by another way through the decoders.
WAYS = {
    "jpeg": ("JPEG", "RGB", {"quality": 98, "subsampling": 0}),
    "progressive jpeg": ("JPEG", "RGB", {"quality": 98, "progressive": True, "subsampling": 0}),
    "grey jpeg": ("JPEG", "L", {"quality": 98}),
    "cmyk jpeg": ("JPEG", "CMYK", {"quality": 98, "subsampling": 0}),
    "png": ("PNG", "RGB", {}),
    "grey png": ("PNG", "L", {}),
    "palette png": ("PNG", "P", {}),
    "alpha png": ("PNG", "RGBA", {}),
    "deep png": ("PNG", "I;16", {}),
    "animated png": (
        "PNG",
        "RGB",
        {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]},
    ),
    "tiff": ("TIFF", "RGB", {}),
    "packed tiff": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "deep tiff": ("TIFF", "I;16", {}),
    "webp": ("WebP", "RGB", {"lossless": True}),
    "heic": ("HEIF", "RGB", {"quality": 100}),
}


def turned(kind: str, mode: str, options: dict, orientation: int) -> bytes:
    """The scene, stored as it is, in a file that says how to turn it."""
    image = Image.fromarray(SCENE).convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    if kind == "HEIF":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(image).save(buffer, exif=exif.tobytes(), **options)
    else:
        image.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("way", WAYS)
def test_every_format_is_turned_as_its_exif_says(way, orientation):
    kind, mode, options = WAYS[way]
    data = turned(kind, mode, options, orientation)
    got = decode_image(data, max_megapixels=1)
    wanted = UPRIGHT[orientation](decode_image(turned(kind, mode, options, 1), max_megapixels=1))
    assert got.shape == wanted.shape
    assert np.abs(got.astype(int) - wanted).mean() <= (1 if kind in ("JPEG", "HEIF") else 0)
    assert read_header(data).turned == (orientation >= 5 and kind != "HEIF")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WebP"])
def test_other_metadata_than_exif_turns_nothing(kind):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data = encoded(SCENE, kind, xmp=xmp, **({"lossless": True} if kind == "WebP" else {}))
    assert decode_image(data, max_megapixels=1).shape == SCENE.shape


@given(st.binary(max_size=80), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08\0\x05"]))
def test_no_exif_makes_it_raise(exif, start):
    assert 1 <= exif_orientation(start + exif) <= 8


def test_a_mask_of_the_stored_image_is_told_to_be_turned_too():
    mask = encoded(np.zeros((48, 64), np.uint8), "PNG")
    told = r"as it is stored, 64×48, which its EXIF turns upright, 48×64: turn the mask too"
    with pytest.raises(Undecodable, match=told):
        decode_mask(mask, height=64, width=48, n_classes=4, turned=True)
    for height, width, turned in ((50, 64, True), (64, 48, False)):
        with pytest.raises(Undecodable, match=r"own size$"):
            decode_mask(mask, height=height, width=width, n_classes=4, turned=turned)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_ingest_and_quarantine_tell_of_a_mask_of_the_stored_image(kind):
    image = turned(kind, "RGB", {}, 6)
    mask = encoded(np.zeros((48, 64), np.uint8), "PNG")
    told = fingerprint(image, mask, max_megapixels=1, n_classes=4)
    assert (told["width"], told["height"]) == (48, 64)
    assert "turn the mask too" in told["mask_problem"]


def test_pillow_is_not_asked_to_turn_what_is_turned():
    # It would warn of a palette with transparency, and of an EXIF that it cannot read.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for way in ("palette png", "alpha png", "animated png"):
            decode_image(turned(*WAYS[way], 6), max_megapixels=1)
