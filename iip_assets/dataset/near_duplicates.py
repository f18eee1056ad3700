"""Which images are nearly the same: all pairs of hashes within a Hamming distance, exactly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

# Bytes of one block of distances; small enough to stay in a processor's cache.
_BLOCK_BYTES = 4_000_000


def near_pairs(hashes: Sequence[str | None], *, within_bits: int) -> NDArray[np.int64]:
    """All pairs of equal-length hashes that differ in at most `within_bits` bits; none is missed.

    Looking at 64 bits at a time rules out nearly every pair, all bits decide on the rest.

    Args:
        hashes: Hex text, a multiple of 16 digits; None is near nothing.
        within_bits: The greatest distance that counts as near.

    Returns:
        (P, 2) positions in `hashes`, the smaller first, sorted.

    Raises:
        ValueError: The hashes differ in length.
    """
    places = np.array([i for i, text in enumerate(hashes) if text is not None], dtype=np.int64)
    words = _as_words([text for text in hashes if text is not None])
    count = len(words)
    if count < 2:
        return np.empty((0, 2), dtype=np.int64)
    # Were every word farther than its share of the bits, all words together would be too far.
    share = within_bits // words.shape[1]
    columns = [np.ascontiguousarray(column) for column in words.T]
    rows = max(1, _BLOCK_BYTES // (8 * count))
    found = []
    for start in range(0, count, rows):
        left = np.arange(start, min(start + rows, count))
        close = np.zeros((len(left), count - start), dtype=np.bool_)
        for column in columns:
            close |= np.bitwise_count(column[left, None] ^ column[None, start:]) <= share
        a, b = np.divmod(np.flatnonzero(close), count - start)
        a, b = a[b > a] + start, b[b > a] + start
        exact = np.bitwise_count(words[a] ^ words[b]).sum(axis=1, dtype=np.int64)
        near = exact <= within_bits
        found.append(np.stack([a[near], b[near]], axis=1))
    pairs: NDArray[np.int64] = places[np.concatenate(found)]
    return pairs


def spanning_pairs(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The fewest of the pairs that join the same images: n - 1 of the n²/2 of n images all alike.

    Where the two images of some pair stand in two splits, so do those of a pair that is kept.
    """
    from scipy.cluster.hierarchy import DisjointSet

    asked = list(pairs)
    joined = DisjointSet({image_id for pair in asked for image_id in pair})
    return [pair for pair in asked if joined.merge(*pair)]


def _as_words(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """(N, bits / 64) of 64-bit words."""
    lengths = {len(text) for text in hashes}
    if len(lengths) > 1 or any(length % 16 for length in lengths):
        raise ValueError(
            f"hashes have {sorted(lengths)} hex digits, expected one multiple of 16 for all: they "
            "were made by different versions of the hash; recompute them"
        )
    if not hashes:
        return np.empty((0, 1), dtype=np.uint64)
    return np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64).reshape(len(hashes), -1)
