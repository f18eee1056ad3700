"""A training step that minds groups: the loss with a remedy, and the best epoch under it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from iip_assets.models.mindiff import MinDiff
from iip_assets.models.rate_constraint import Multipliers, RateConstraint
from iip_assets.training.trainer import Schedule, Task

GroupLoss: TypeAlias = MinDiff | RateConstraint

# Worse than any loss, so that an epoch which misses a floor comes after all that do not.
_MISSED = 1000.0


def log_odds(logits: Tensor, right: Tensor) -> Tensor:
    """(B, …) how much likelier what is right is than what is not, of logits (B, K, …).

    Above 0 the right answer has more than half of the probability. `right` (B, K, …), or what can
    be expanded to it, says which classes are right.
    """
    nothing = logits.new_tensor(-math.inf)
    return torch.where(right, logits, nothing).logsumexp(1) - torch.where(
        right, nothing, logits
    ).logsumexp(1)


@dataclass(frozen=True)
class Scored:
    """How surely each image is told right.

    Attributes:
        scores: (B,) log odds, the mean of its pixels.
        errors: (B,) the logistic loss in bits, a smooth bound of the share that is wrong.
        right: (B,) the share that is right.
        sides: (B, G) the groups, 0 for an image of which nothing counts.
    """

    scores: Tensor
    errors: Tensor
    right: Tensor
    sides: Tensor

    @staticmethod
    def of(odds: Tensor, counted: Tensor, sides: Tensor) -> Scored:
        """Of log odds (B, P) where `counted` (B, P), of images on the sides (B, G)."""
        counts = counted.sum(1)

        def mean(values: Tensor) -> Tensor:
            return torch.where(counted, values, 0.0).sum(1) / counts.clamp(min=1)

        errors = functional.softplus(-odds) / math.log(2)
        found = mean(odds), mean(errors), mean((odds > 0).to(odds.dtype))
        return Scored(*found, sides * (counts > 0)[:, None])


class FairTask(Task):
    """A task that takes a remedy; without one it is as any other.

    With a remedy the best epoch is told by `validation_goal`: with MinDiff the penalty of the
    validation images counts as it does in training, and under a rate constraint the epochs that
    reach every floor come first.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        schedule: Schedule,
        *,
        steps: int,
        fair: GroupLoss | None = None,
    ) -> None:
        super().__init__(network, schedule, steps=steps)
        self._fair = fair
        self._multipliers = Multipliers(fair.floors) if isinstance(fair, RateConstraint) else None
        self._seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        if fair is not None:
            self.monitor = "validation_goal"

    def with_remedy(self, loss: Tensor, scored: Scored) -> Tensor:
        """What training lowers."""
        if isinstance(self._fair, MinDiff):
            return loss + self._fair.penalty(scored.scores, scored.sides)
        assert self._multipliers is not None
        return self._multipliers.lagrangian(loss, scored.errors, scored.sides > 0)

    def keep_validation(self, scored: Scored, loss: Tensor) -> None:
        """Keeps what a batch of the validation shows until the epoch's end."""
        images = len(scored.sides)
        self._seen.append((scored.scores, scored.right, scored.sides, loss.expand(images)))

    def log_goal(self, value: Tensor | None = None) -> None:
        """Logs what tells the best epoch; without a remedy `value` does, by default the loss."""
        if not self._seen:
            return
        scores, right, sides, losses = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen = []
        value = losses.mean() if value is None else value
        worse = 1.0 if self.mode == "min" else -1.0
        if isinstance(self._fair, MinDiff):
            penalty = self._fair.penalty(scores, sides)
            self.log("validation_mindiff", penalty)
            self.log("validation_goal", value + worse * penalty)
        elif self._multipliers is not None:
            missed = self._multipliers.follow(right, sides > 0)
            self.log("validation_missed_recall", missed)
            found: Any = worse * (_MISSED + missed) if missed > 0 else value
            self.log("validation_goal", found)
