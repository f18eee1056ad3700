"""Labels against predictions, beyond what confidence predicts."""

from __future__ import annotations

import numpy as np
import pytest

from iip_assets.drift.concept import concept_drift


def predicted(rng, subjects, per_subject=3, *, sure=0.8, flipped=0.0):
    """Probabilities, labels and subjects; labels follow the probabilities but for those flipped."""
    groups = np.repeat(np.arange(subjects), per_subject)
    top = np.clip(sure + 0.1 * rng.normal(size=subjects)[groups], 0.4, 0.99)
    probabilities = np.stack([top, (1 - top) / 2, (1 - top) / 2], axis=1)
    draws = rng.random(len(groups))
    labels = (draws[:, None] > probabilities.cumsum(1)).sum(1).clip(max=2)
    wrong = rng.random(len(groups)) < flipped
    return probabilities, np.where(wrong, (labels + 1) % 3, labels), groups


def found(rng, *, older=150, newest=40, sure=0.8, flipped=0.0):
    old = predicted(rng, older)
    new = predicted(rng, newest, sure=sure, flipped=flipped)
    probabilities, labels = (np.concatenate([a, b]) for a, b in zip(old[:2], new[:2], strict=True))
    groups = np.concatenate([old[2], new[2] + older])
    return concept_drift(probabilities, labels, groups, groups >= older)


def test_labels_of_another_meaning_are_found_and_how_many_they_are():
    one = found(np.random.default_rng(0), flipped=0.4)
    # Of flipped labels those count that were right: 0.4 × (P(right) − P(turned right)).
    assert one.p < 0.001
    assert one.low < 0.28 < one.high
    assert (one.n_images, one.n_subjects) == (120, 40)


@pytest.mark.parametrize("sure", [0.8, 0.55])
def test_images_of_which_predictions_are_less_sure_are_no_concept_drift(sure):
    rng = np.random.default_rng(1)
    low = sum(found(rng, newest=20, sure=sure).p < 0.05 for _ in range(200))
    # Binomial(200, 0.05) is above 20 with a probability of 0.001.
    assert low <= 20


def test_of_too_few_subjects_there_is_no_verdict():
    one = found(np.random.default_rng(2), newest=4, flipped=1.0)
    assert (one.p, one.low, one.high) == (None, None, None)
    assert one.excess_error > 0.2


def test_without_older_images_nothing_is_said():
    probabilities, labels, groups = predicted(np.random.default_rng(3), 9)
    one = concept_drift(probabilities, labels, groups, np.ones(len(groups), dtype=bool))
    assert (one.p, one.excess_error, one.n_images) == (None, None, 27)
