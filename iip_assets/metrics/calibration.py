"""Probabilities that mean what they say: temperature scaling (Guo et al. 2017)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# With fewer images the temperature would be noise.
_LEAST_IMAGES = 20
# A temperature outside of this says that something else is wrong.
_LOWEST, _HIGHEST = 0.2, 10.0
_STEPS = 60


def fit_temperature(logits: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
    """The number by which (N, K) logits are divided so that held-out images are likeliest.

    1 where there are too few images to tell.
    """
    if len(classes) < _LEAST_IMAGES:
        return 1.0
    from scipy.special import log_softmax

    exact, rows = logits.astype(np.float64), np.arange(len(classes))

    def loss(inverse: float) -> float:
        return float(-log_softmax(exact * inverse, axis=1)[rows, classes].mean())

    # The loss is convex in 1 / temperature: thirds of the range can be dropped.
    low, high = 1 / _HIGHEST, 1 / _LOWEST
    for _ in range(_STEPS):
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return float(2 / (low + high))
