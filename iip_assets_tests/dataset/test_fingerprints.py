"""Copies are found, every pair within the distance and no other; different images stay apart."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.dataset.fingerprints import HASH_BITS, near_pairs, perceptual_hash
from iip_assets.settings import DatasetSettings

THRESHOLD = DatasetSettings().near_duplicate_bits


def texture(seed: int) -> np.ndarray:
    """120×160 of detail at every scale, as photographs have it."""
    rng = np.random.default_rng(seed)
    image = np.zeros((120, 160, 3))
    for cells in (3, 6, 12, 24, 48):
        layer = rng.normal(0, 60 / cells**0.5, (cells, cells, 3))
        image += cv2.resize(layer, (160, 120), interpolation=cv2.INTER_CUBIC)
    return np.clip(120 + image, 0, 255).astype(np.uint8)


def distance(one: np.ndarray, other: np.ndarray) -> int:
    first, second = perceptual_hash(one), perceptual_hash(other)
    assert first is not None
    assert second is not None
    return (int(first, 16) ^ int(second, 16)).bit_count()


def jpeg(pixels, quality):
    return cv2.imdecode(cv2.imencode(".jpg", pixels, [1, quality])[1], cv2.IMREAD_COLOR)


COPIES = {
    "re-encoded": lambda pixels: jpeg(pixels, 75),
    "half the size": lambda pixels: cv2.resize(
        pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
    ),
    "larger": lambda pixels: cv2.resize(pixels, None, fx=1.5, fy=1.5),
    "brighter": lambda pixels: np.clip(pixels * 1.1 + 5, 0, 255).astype(np.uint8),
    "darker": lambda pixels: (pixels * 0.85).astype(np.uint8),
    "softer": lambda pixels: cv2.GaussianBlur(pixels, (0, 0), 1),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
def test_a_copy_is_near(change):
    for seed in range(10):
        image = texture(seed)
        assert distance(image, change(image)) <= THRESHOLD


def test_other_images_are_far():
    images = [texture(seed) for seed in range(30)]
    distances = [distance(images[i], images[j]) for i in range(30) for j in range(i + 1, 30)]
    assert min(distances) > THRESHOLD


def test_an_image_with_nothing_on_it_has_no_hash():
    assert perceptual_hash(np.full((40, 64, 3), 7, np.uint8)) is None
    noise = np.random.default_rng(0).integers(100, 104, (400, 640, 3), dtype=np.uint8)
    assert perceptual_hash(noise) is None


def test_a_hash_is_256_bits_of_hex():
    text = perceptual_hash(texture(0))
    assert text is not None
    assert len(bytes.fromhex(text)) * 8 == HASH_BITS


def naive(hashes, within):
    return [
        [i, j]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if hashes[i] is not None
        and hashes[j] is not None
        and (int(hashes[i], 16) ^ int(hashes[j], 16)).bit_count() <= within
    ]


@st.composite
def related_hashes(draw):
    base = draw(st.integers(0, 2**256 - 1))
    hashes = []
    for _ in range(draw(st.integers(0, 12))):
        flipped = draw(st.sets(st.integers(0, 255), max_size=60))
        value = base
        for bit in flipped:
            value ^= 1 << bit
        hashes.append(draw(st.sampled_from([f"{value:064x}", f"{value:064x}", None])))
    return hashes


@settings(max_examples=200, deadline=None)
@given(related_hashes(), st.integers(0, 128))
def test_exactly_the_pairs_within_the_distance_are_found(hashes, within):
    assert near_pairs(hashes, within_bits=within).tolist() == naive(hashes, within)


def test_blocks_miss_no_pair(monkeypatch):
    rng = np.random.default_rng(3)
    hashes = [rng.bytes(8).hex() for _ in range(200)]
    hashes[150], hashes[199] = hashes[3], hashes[198]
    whole = near_pairs(hashes, within_bits=20).tolist()
    monkeypatch.setattr("iip_assets.dataset.fingerprints._BLOCK_BYTES", 1)
    assert near_pairs(hashes, within_bits=20).tolist() == whole == naive(hashes, 20)
    assert [3, 150] in whole


def test_hashes_of_two_versions_are_not_compared():
    with pytest.raises(ValueError, match="recompute"):
        near_pairs(["00" * 8, "00" * 32], within_bits=5)
