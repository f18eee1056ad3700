"""What is looked at before a long training, so that a mistake costs a minute and not a night.

Karpathy's recipe (2019): the loss must start where a network starts that knows nothing, and a
network that cannot learn one batch by heart will not learn many. A look changes nothing about the
training: it learns with a copy.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from iip_assets.training.preflight_words import Start, absent_in_words
from iip_assets.training.trainer import Schedule, seeded

Checks = Literal["long", "always", "never"]

# A training of at least so many steps is worth the wait for these checks.
_LONG_STEPS = 300

_STEPS = 40
_LEAST_LEARNING_RATE = 2e-3
# The share of its loss that a network must lose on a batch that it sees 40 times.
_LEARNED = 0.5


class CannotLearnError(RuntimeError):
    """The network does not learn a single batch; more of them would not help."""


def is_wanted(checks: Checks, schedule: Schedule, images: int) -> bool:
    """Whether a training of so many images is to be looked at before it begins."""
    steps = schedule.epochs * (images // schedule.batch_size)
    return checks == "always" or (checks == "long" and steps >= _LONG_STEPS)


def look_at_start(
    network: torch.nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    classes: int,
    ignored: int,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    learning_rate: float,
    seed: int,
    threads: int,
    what: str,
) -> Start:
    """Lets a copy of the network learn one batch by heart.

    Args:
        network: From (B, …) inputs to logits (B, K, …).
        inputs: The batch.
        targets: Class indices (B, …).
        classes: K.
        ignored: The index that does not count.
        loss_of: What is trained by, from logits and targets.
        learning_rate: That of the training.
        seed: Of what the network draws.
        threads: On the processor.
        what: The model, in words.

    Raises:
        CannotLearnError: The loss did not halve.
    """
    with seeded(seed, threads=threads):
        pupil = copy.deepcopy(network).train()
        rate = max(learning_rate, _LEAST_LEARNING_RATE)
        optimizer = torch.optim.Adam(pupil.parameters(), lr=rate)
        losses = []
        start = math.nan
        for step in range(_STEPS):
            logits = pupil(inputs)
            if step == 0:
                known = functional.cross_entropy(logits, targets, ignore_index=ignored)
                start = float(known.detach())
            loss = loss_of(logits, targets)
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
    return found


def tell_absent(
    counts: Mapping[str, Mapping[str, int]], classes: Sequence[str], *, log: Callable[[str], None]
) -> None:
    """Says before a training which classes it will not learn, or nobody will be judged on."""
    if (words := absent_in_words(counts, classes)) is not None:
        log(words)
