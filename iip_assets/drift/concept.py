"""Concept drift: labels that differ from what was predicted by more than confidence allows for.

Images may change (data drift) without any change in what their labels should be: predictions then
become less sure, and are wrong as often as they say. Where they are wrong more often than they
say, what the labels mean has moved, or the model was never right about such images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.metrics.intervals import (
    LEAST_SUBJECTS,
    chance_above,
    estimate_difference,
    replicates,
)
from iip_assets.settings import EvaluationSettings


@dataclass(frozen=True)
class ConceptDrift:
    """Whether labels of the newest images differ from predictions beyond what confidence predicts.

    Attributes:
        p: The p-value of no more unexpected errors in the newest images than in older ones, one
            sided; None where either side has too few subjects.
        excess_error: Mean of observed minus expected error of the newest images, minus that of the
            older; None where a side is empty.
        low: The lower end of its interval; None where there are too few subjects.
        high: The upper end.
        n_images: Of the newest.
        n_subjects: In these.
    """

    p: float | None
    excess_error: float | None
    low: float | None
    high: float | None
    n_images: int
    n_subjects: int


def concept_drift(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: Sequence[str] | NDArray[Any],
    newest: NDArray[np.bool_],
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> ConceptDrift:
    """Holds the errors of predictions against the errors that their confidence predicts.

    The error of an image is 1 where the likeliest class is not its label; the expected error is 1
    minus the largest probability. No image's prediction may have learned from its own label.

    Args:
        probabilities: Shape (N, K), of each class.
        labels: Shape (N,), places of the labelled classes.
        groups: Shape (N,), the subject of each image; one may have images on both sides.
        newest: Shape (N,), which images are asked about; the others are compared with.
        confidence: Of the interval.
        seed: Which subjects are left out together, where they are more than 500.
    """
    names = np.asarray(groups, dtype=str)
    unexpected = (probabilities.argmax(1) != labels) - (1 - probabilities.max(1))
    sides = [len(set(names[newest])), len(set(names[~newest]))]
    counts = int(newest.sum()), sides[0]
    if not min(sides):
        return ConceptDrift(None, None, None, None, *counts)
    made = replicates(names.tolist(), EvaluationSettings(confidence=confidence, seed=seed))
    now, before = made.weights * newest, made.weights * ~newest
    with np.errstate(invalid="ignore"):  # a subject alone may be on one side only
        values = now @ unexpected / now.sum(1) - before @ unexpected / before.sum(1)
    if min(sides) < LEAST_SUBJECTS:
        return ConceptDrift(None, float(values[0]), None, None, *counts)
    resting = min(sides)
    found = estimate_difference(values, made.sizes, confidence=confidence, subjects=resting)
    p = chance_above(-values, made.sizes, bound=0, subjects=resting)
    return ConceptDrift(p, found.value, found.low, found.high, *counts)
