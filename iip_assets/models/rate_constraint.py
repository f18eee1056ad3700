"""Recall that reaches a floor on named subsets, as a constraint on training.

A game of two players (Cotter, Jiang and Sridharan 2019): the network lowers the loss plus a smooth
bound of each subset's errors times its multiplier, and the multiplier grows while the true recall
is too low. That recall is of the validation images (Cotter et al. 2019, "Training Well-Generalizing
Classifiers for Fairness Metrics"): a network that has learned its training images by heart would
meet every floor there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from cooper.cmp import CMPState
from cooper.constraints.constraint import Constraint
from cooper.constraints.constraint_state import ConstraintState
from cooper.multipliers.multipliers import DenseMultiplier
from cooper.utils.annotations import ConstraintType
from torch import Tensor

# Growth of a multiplier an epoch for each unit that recall is too low.
_DUAL_RATE = 2.0
# Validation recall is to lie so many of its standard errors above the floor, so that the floor is
# reached in nine of ten draws of other images, too.
_MARGIN = 1.28


@dataclass(frozen=True)
class RateConstraint:
    """The least recall of usable images on each of S subsets.

    Attributes:
        floors: The S shares, 0 to 1.
        usable: The classes of usable images; a segmenter has none, and its eyes' pixels count.
    """

    floors: tuple[float, ...]
    usable: tuple[int, ...] = ()


class Multipliers(torch.nn.Module):
    """What each subset's errors count, and how that follows from its recall.

    cooper's optimizers do both players' steps at once; here Lightning does the network's, a batch
    at a time, and `follow` the multipliers', once an epoch.
    """

    def __init__(self, floors: tuple[float, ...]) -> None:
        super().__init__()
        self.multiplier = DenseMultiplier(len(floors))
        self._floors = floors
        self._constraint = Constraint(ConstraintType.INEQUALITY, multiplier=self.multiplier)
        self._ascent = torch.optim.SGD(self.multiplier.parameters(), lr=_DUAL_RATE, maximize=True)

    def lagrangian(self, loss: Tensor, errors: Tensor, members: Tensor) -> Tensor:
        """The loss with what errors (B,), each a smooth bound, cost the subsets, members (B, S)."""
        counts = members.sum(0)
        allowed = 1 - loss.new_tensor(self._floors)
        violation = (errors @ members.to(errors.dtype)) / counts.clamp(min=1) - allowed
        state = ConstraintState(violation * (counts > 0), contributes_to_dual_update=False)
        found = CMPState(loss, {self._constraint: state}).compute_primal_lagrangian().lagrangian
        assert found is not None
        return found

    def follow(self, right: Tensor, members: Tensor) -> float:
        """Moves the multipliers by what recall lacks; the most that it does, 0 where nothing.

        Args:
            right: (N,) the share of each validation image that is right.
            members: (N, S) who belongs to each subset; one without members lacks nothing.
        """
        with torch.inference_mode(False), torch.enable_grad():
            counts = members.sum(0)
            recall = (right @ members.to(right.dtype)) / counts.clamp(min=1)
            violation = (targets(self._floors, counts).to(recall) - recall) * (counts > 0)
            state = ConstraintState(violation, contributes_to_primal_update=False)
            self._ascent.zero_grad()
            CMPState(None, {self._constraint: state}).compute_dual_lagrangian().backward()
            self._ascent.step()
            self.multiplier.post_step_()
        return max(0.0, float(violation.max()))


def targets(floors: tuple[float, ...], counts: Tensor) -> Tensor:
    """(S,) what recall of so many images is to be: the floors and a margin, at most 1."""
    margins = [
        _MARGIN * math.sqrt(floor * (1 - floor) / max(1, int(count)))
        for floor, count in zip(floors, counts, strict=True)
    ]
    return (torch.tensor(floors) + torch.tensor(margins)).clamp(max=1)
