"""Weights that let rare cells count as much as common ones, within a cap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def balance_weights(
    cells: Sequence[str | None],
    *,
    max_weight: float,
    mix: Mapping[str, float] | None = None,
    sizes: Mapping[str, float] | None = None,
) -> F64:
    """(N,) weights that bring the cells to a mix: positive, of mean 1, none above the cap.

    A cell's weight is its wanted share over its share (inverse frequency where the mix is uniform).
    An image whose cell is not known has weight 1 before all are scaled to mean 1. What the cap
    takes from rare cells goes to the others in proportion.

    Args:
        cells: Each image's cell, or None.
        max_weight: The cap, at least 1: the largest weight after scaling.
        mix: Wanted share by cell, above 0; uniform over the cells that are there by default.
        sizes: How many images each cell is taken to have (`shrunk_sizes`); those that it has by
            default.

    Raises:
        ValueError: The cap is below 1, or the mix lacks a cell or has none above 0.
    """
    if not max_weight >= 1:
        raise ValueError(
            f"max_weight must be at least 1, since weights have mean 1; it is {max_weight!r}"
        )
    counts: dict[str, int] = {}
    for cell in cells:
        if cell is not None:
            counts[cell] = counts.get(cell, 0) + 1
    wanted = dict.fromkeys(counts, 1 / len(counts)) if mix is None and counts else dict(mix or {})
    absent = sorted(cell for cell in counts if not wanted.get(cell, 0) > 0)
    if absent:
        raise ValueError(
            f"the mix must give every cell a share above 0; it has none for {absent[:5]}"
        )
    n_known = sum(counts.values())
    total = sum(wanted[cell] for cell in counts)
    raw = {cell: wanted[cell] / total * n_known / n for cell, n in (sizes or counts).items()}
    weights = np.array([1.0 if cell is None else raw[cell] for cell in cells], dtype=np.float64)
    return capped_to_mean_one(weights, max_weight)


def shrunk_sizes(
    counts: Mapping[str, int], expected: Mapping[str, float], images: float
) -> dict[str, float]:
    """The size of each cell drawn towards what is expected of it, more the fewer images it has.

    A cell of n images keeps the share n / (n + images) of what is its own, as in small area
    estimation (Fay and Herriot 1979): what a handful of images make of a weight is mostly luck.

    Args:
        counts: Images by cell.
        expected: The share of each cell, summing to 1.
        images: How many of them the expected share is worth; 0 leaves sizes as they are.
    """
    total = sum(counts.values())
    return {
        cell: (n * n + images * expected[cell] * total) / (n + images) for cell, n in counts.items()
    }


def capped_to_mean_one(raw: F64, max_weight: float) -> F64:
    """min(cap, c × raw) with the one factor c that makes the mean 1, of positive numbers (N,)."""
    n = len(raw)
    if n == 0:
        return raw.copy()
    order = np.argsort(-raw, kind="stable")
    falling = raw[order]
    rest = np.cumsum(falling[::-1])[::-1]
    weights = np.full(n, float(max_weight))
    for n_capped in range(n):
        # With the largest n_capped at the cap, the others share what is left of the total n.
        factor = (n - n_capped * max_weight) / rest[n_capped]
        if factor * falling[n_capped] <= max_weight:
            weights[n_capped:] = factor * falling[n_capped:]
            break
    result = np.empty(n)
    result[order] = np.minimum(weights, max_weight)
    return result


def effective_sample_size(weights: F64) -> float:
    """(sum w)² / sum w²: how many evenly weighted images these are worth (Kish, 1965)."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


@dataclass(frozen=True)
class Balance:
    """What weighting does to a training set.

    Attributes:
        n_images: Images that are weighted.
        n_effective: Their effective sample size (Kish, 1965); `n_images` before weighting.
        largest: The largest weight.
        n_capped: Images at the cap.
    """

    n_images: int
    n_effective: float
    largest: float
    n_capped: int


def describe_balance(weights: F64, *, max_weight: float) -> Balance:
    """The effect of weights in numbers."""
    return Balance(
        n_images=len(weights),
        n_effective=effective_sample_size(weights),
        largest=float(weights.max(initial=0.0)),
        n_capped=int((weights >= max_weight * (1 - 1e-9)).sum()) if max_weight > 1 else 0,
    )
