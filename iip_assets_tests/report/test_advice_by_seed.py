"""Advice about slices does not depend on the seed of the training: the filter's head is trained
three times on the same embeddings, and all three reports say the same."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from iip_assets.evaluation.evaluation import metrics_table
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.metrics.scored_predictions import scored_probabilities
from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.report.sections.slices import slices as slices_section
from iip_assets.settings import EvaluationSettings
from iip_assets.training.trainer import Machine, Schedule, TrainingRun

IMAGES, SUBJECTS = 900, 300
SCHEDULE = {"epochs": 12, "patience": 4, "learning_rate": 0.01, "weight_decay": 0.01}


def population(*, wrong_in_g0: float) -> tuple[Examples, np.ndarray, pl.DataFrame]:
    """Embeddings that tell the classes apart with some errors, subjects, and twelve slices.

    In the slice g0 this share of the images looks like another class.
    """
    rng = np.random.default_rng(7)
    subjects = np.arange(IMAGES) // (IMAGES // SUBJECTS)
    axes = {axis: rng.integers(4, size=SUBJECTS)[subjects] for axis in ("d", "e", "g")}
    classes = rng.integers(3, size=IMAGES)
    turned = (axes["g"] == 0) & (rng.random(IMAGES) < wrong_in_g0)
    looks = np.where(turned, (classes + 1) % 3, classes)
    embeddings = np.eye(8)[looks] * 2 + rng.normal(scale=0.8, size=(IMAGES, 8))
    slices = [
        (f"{image:03d}", axis, f"{axis}{values[image]}")
        for axis, values in axes.items()
        for image in range(IMAGES)
    ]
    return (
        Examples(embeddings.astype(np.float32), classes, np.ones(IMAGES)),
        subjects,
        pl.DataFrame(slices, schema=["image_id", "axis", "slice"], orient="row"),
    )


def advice(seed: int, *, wrong_in_g0: float) -> list[str]:
    """What the report says is weaker, of a head trained with the seed."""
    examples, subjects, slices = population(wrong_in_g0=wrong_in_g0)
    split = subjects % 3

    def part(of: int) -> Examples:
        chosen = split == of
        return Examples(
            examples.embeddings[chosen], examples.classes[chosen], examples.weights[chosen]
        )

    head, _ = train_head(
        part(0),
        part(1),
        Schedule(**SCHEDULE, batch_size=64, seed=seed),
        classes=3,
        run=TrainingRun(Machine("cpu", threads=1)),
    )
    test = part(2)
    logits = head_logits(head, test.embeddings)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    where = np.flatnonzero(split == 2)
    scored = scored_probabilities(
        [f"{image:03d}" for image in where],
        [str(subject) for subject in subjects[where]],
        test.classes,
        shares.astype(np.float64),
        FILTER_CLASSES,
    )
    metrics = metrics_table("filter", scored, slices, EvaluationSettings())
    section = slices_section({"metrics": metrics})
    return [step.title for step in section.steps if "weaker" in step.title]


@pytest.mark.parametrize(
    ("wrong_in_g0", "said"),
    [(0.5, ["The filter is weaker on g g0"]), (0.0, [])],
    ids=["a weak slice", "no weak slice"],
)
def test_three_seeds_give_the_same_advice(wrong_in_g0: float, said: list[str]) -> None:
    assert [advice(seed, wrong_in_g0=wrong_in_g0) for seed in (1, 2, 3)] == [said] * 3
