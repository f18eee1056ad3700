"""A training step that minds groups: the loss with a remedy, and the best epoch under it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from iip_assets.models.mindiff import MinDiff
from iip_assets.models.rate_constraint import Multipliers, RateConstraint
from iip_assets.training.trainer import Schedule, Task

GroupLoss: TypeAlias = MinDiff | RateConstraint

# The recall of fewer images than this is not known to a tenth (two standard errors at 0.8), so that
# what would be made alike is mostly luck. TensorFlow's guide has seen MinDiff work with 5,000.
_FEW = 64
# Weights for each image with which a network of two layers can tell any images apart (Zhang et al.
# 2017).
_WEIGHTS = 2

# Worse than any loss, so that an epoch which misses a floor comes after all that do not.
_MISSED = 1000.0


def remedy_of(
    rows: pl.DataFrame, classes: Sequence[str], *, eye: tuple[int, ...] = ()
) -> GroupLoss | None:
    """The remedy that examples ask for, of a model of these classes; None where they ask none.

    Without labels it is about the classes of the `eye`.
    """
    if "remedy" not in rows.columns:
        return None
    asked = json.loads(rows["remedy"][0])
    usable = tuple(classes.index(name) for name in asked["usable"]) or eye
    if asked["method"] == "mindiff":
        return MinDiff(asked["weight"], asked["kernel"], usable)
    return RateConstraint(tuple(asked["floors"]), usable)


def sides_of(rows: pl.DataFrame) -> NDArray[np.int8] | None:
    """(N, G) where each of the examples stands in the remedy; None without one."""
    if "sides" not in rows.columns:
        return None
    width = len(rows["sides"][0]) if rows.height else 0
    return np.array(rows["sides"].to_list(), np.int8).reshape(rows.height, width)


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
        scores: (B,) the probability of what is right, the mean of its pixels.
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
        found = mean(odds.sigmoid()), mean(errors), mean((odds > 0).to(odds.dtype))
        return Scored(*found, sides * (counts > 0)[:, None])


class FairTask(Task):
    """A task that takes a remedy, `fair`; without one it is as any other.

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
        self.fair = fair
        self._multipliers = Multipliers(fair.floors) if isinstance(fair, RateConstraint) else None
        self._seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        if fair is not None:
            self.monitor = "validation_goal"

    def with_remedy(self, loss: Tensor, scored: Scored) -> Tensor:
        """What training lowers."""
        if isinstance(self.fair, MinDiff):
            return loss + self.fair.penalty(scored.scores, scored.sides)
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
        if isinstance(self.fair, MinDiff):
            penalty = self.fair.penalty(scores, sides)
            self.log("validation_mindiff", penalty)
            self.log("validation_goal", value + worse * penalty)
        elif self._multipliers is not None:
            missed = self._multipliers.follow(right, sides > 0)
            self.log("validation_missed_recall", missed)
            self.log("validation_goal", worse * (_MISSED + missed) if missed > 0 else value)


def log_doubts(
    fair: GroupLoss | None,
    sides: NDArray[np.int8] | None,
    network: torch.nn.Module,
    log: Callable[[str], None],
) -> None:
    """Says before a training why MinDiff may do little: few images (N, P), or a small network."""
    if not isinstance(fair, MinDiff) or sides is None:
        return
    fewest = min(int((sides == side).sum(0).min()) for side in (1, -1))
    if fewest < _FEW:
        log(
            f"MinDiff: a side of a pair has {fewest} images to train on that count; fewer than "
            f"{_FEW} hardly show how a group is scored, and its scores may be made alike by chance"
        )
    weights = sum(one.numel() for one in network.parameters())
    if weights < _WEIGHTS * len(sides):
        log(
            f"MinDiff: the network has {weights:,} weights for {len(sides):,} images; one so small "
            "may make groups alike only by doing worse on all; a larger one has room for both"
        )
