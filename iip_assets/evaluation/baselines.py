"""Models that never look at an image: what a real one must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def class_shares(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float64]:
    """How common each class is among the labels, (K,); equal shares where there are none.

    As a filter that gives every image these probabilities, it always says the commonest class.
    """
    counts = np.array([labels.count(name) for name in classes], dtype=np.float64)
    if not counts.sum():
        return np.full(len(classes), 1 / len(classes))
    return np.asarray(counts / counts.sum())
