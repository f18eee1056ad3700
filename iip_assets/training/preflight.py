"""What is looked at before a long training, so that a mistake costs a minute and not a night.

Karpathy's recipe (2019): the loss must start where a network starts that knows nothing, and a
network that cannot learn one batch by heart will not learn many. A look changes nothing about the
training: it learns with a copy.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from iip_assets.training.start_checks import Start, absent_in_words
from iip_assets.training.trainer import Machine, Schedule, seeded

# A training of at least so many steps is worth the wait for these checks.
_LONG_STEPS = 300

_IMAGES = 8
_STEPS = 40
_LEAST_LEARNING_RATE = 2e-3
# The share of its loss that a network must lose on a batch that it sees 40 times.
_LEARNED = 0.5


class CannotLearnError(RuntimeError):
    """The network does not learn a single batch; more of them would not help."""


def start_of(
    network: torch.nn.Module,
    examples: Any,
    schedule: Schedule,
    machine: Machine,
    *,
    classes: int,
    ignored: int,
    loss_of: Callable[[Tensor, Tensor, Tensor], Tensor],
    what: str,
    labels: Tensor | None = None,
) -> dict[str, float] | None:
    """Lets a copy of the network learn one batch by heart: the fields of `Start`.

    None of a training that is too short to be looked at.

    Args:
        network: From (B, …) inputs to logits (B, K, …).
        examples: A data set of inputs, class indices and what each image counts.
        schedule: Of the training.
        machine: Of the training.
        classes: K.
        ignored: The index that does not count.
        loss_of: What is trained by, from logits, class indices and weights (B,).
        what: The model, in words.
        labels: The class indices, where a teacher softens those of the examples: only these can be
            learned by heart.

    Raises:
        CannotLearnError: The loss did not halve.
    """
    steps = schedule.epochs * (len(examples) // schedule.batch_size)
    checks = machine.training.checks
    if checks == "never" or (checks == "long" and steps < _LONG_STEPS):
        return None
    batch = [examples[0, place] for place in range(min(_IMAGES, len(examples)))]
    inputs, targets, weights, *_ = (torch.stack(parts) for parts in zip(*batch, strict=True))
    if labels is not None:
        targets = labels[: len(batch)]
    with seeded(schedule.seed, threads=machine.threads):
        pupil = copy.deepcopy(network).train()
        rate = max(schedule.learning_rate, _LEAST_LEARNING_RATE)
        optimizer = torch.optim.Adam(pupil.parameters(), lr=rate)
        losses = []
        start = math.nan
        for step in range(_STEPS):
            logits = pupil(inputs)
            if step == 0:
                known = functional.cross_entropy(logits, targets, ignore_index=ignored)
                start = float(known.detach())
            loss = loss_of(logits, targets, weights)
            losses.append(float(loss.detach()))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    found = Start(start, math.log(classes), losses[0], min(losses))
    if not found.learned_to <= _LEARNED * found.learned_from:
        raise CannotLearnError(
            f"the {what} cannot learn a single batch of {len(inputs)} images by heart: after "
            f"{_STEPS} steps its loss went from {found.learned_from:.3g} to {found.learned_to:.3g}"
            ". Do labels and masks belong to their images? "
            '`training.checks = "never"` trains all the same'
        )
    return asdict(found)


def log_absent(
    counts: Mapping[str, Mapping[str, int]], classes: Sequence[str], *, log: Callable[[str], None]
) -> None:
    """Says before a training which classes it will not learn, or nobody will be judged on."""
    if (words := absent_in_words(counts, classes)) is not None:
        log(words)
