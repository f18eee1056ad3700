"""Embeddings of two groups, of which the rarer is seen dimly and labelled worse."""

from __future__ import annotations

import numpy as np

from iip_assets.models.filter_network import Examples, head_logits, train_head
from iip_assets.training.trainer import Machine, Schedule, TrainingRun

USABLE = (0,)
SCHEDULE = {"epochs": 40, "patience": 8, "learning_rate": 0.003, "weight_decay": 0.01}


def planted(count: int, seed: int, *, noise: float = 0.3, share: float = 0.2):
    """Examples of two classes whose sides are (rare group, all others), and who is of the group.

    In the rare group half of what shows the class is missing, and that share of its usable images
    is labelled unusable.
    """
    rng = np.random.default_rng(seed)
    classes, rare = rng.integers(2, size=count), rng.random(count) < share
    shown = np.where(rare, 0.5, 1.0) * np.where(classes == 0, 1.5, -1.5)
    embeddings = rng.normal(size=(count, 8))
    embeddings[:, 0] += shown
    embeddings[:, 1] += 2.0 * rare
    wrong = rare & (classes == 0) & (rng.random(count) < noise)
    sides = np.where(rare, 1, -1)[:, None].astype(np.int8)
    return Examples(
        embeddings.astype(np.float32), np.where(wrong, 1, classes), np.ones(count), sides
    ), rare


def recalls(head, examples, rare):
    """Recall of the usable images of the rare group and of the others, and accuracy."""
    logits = head_logits(head, examples.embeddings)
    right = logits.argmax(1) == examples.classes
    usable = np.isin(examples.classes, USABLE)
    return right[usable & rare].mean(), right[usable & ~rare].mean(), right.mean()


def trained(fair, seed=0, *, training=None, count=1200, validation_count=600, **changes):
    """The head, its training, and its recalls and accuracy on clean test images."""
    examples = training or planted(count, 100 + seed)[0]
    validation = planted(validation_count, 200 + seed)[0]
    schedule = Schedule(**{**SCHEDULE, **changes}, batch_size=64, seed=seed)
    head, how = train_head(
        examples,
        validation,
        schedule,
        classes=2,
        run=TrainingRun(Machine("cpu", threads=1)),
        fair=fair,
    )
    return head, how, recalls(head, *planted(20_000, 300 + seed, noise=0.0))
