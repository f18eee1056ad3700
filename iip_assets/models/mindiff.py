"""MinDiff: a model is to score the images of two groups alike (Prost et al. 2019).

The distance of two groups' scores is their squared maximum mean discrepancy (Gretton et al. 2012),
which is 0 where both have one distribution. It counts beside the loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, ones_like

Kernel = Literal["gaussian", "laplace"]

# Of probabilities. TensorFlow's 0.1 also holds apart scores that hardly differ, as its guide warns:
# a small network then learns to be sure of nothing. With a bandwidth that follows the spread of the
# logits, which no network can escape, the same happens at a third of the weight.
_BANDWIDTH = 0.5


def mmd2(first: Tensor, second: Tensor, kernel: Kernel, bandwidth: float = 0.1) -> Tensor:
    """The squared maximum mean discrepancy of two samples, (N, D) and (M, D), a scalar.

    The biased estimate with the kernels of TensorFlow's MinDiff, exp(-|x - y|² / bandwidth²) and
    exp(-|x - y| / bandwidth), and its default bandwidth, which is meant for scores between 0 and 1.
    """

    def mean_kernel(these: Tensor, those: Tensor) -> Tensor:
        squares = (these[:, None] - those[None]).square().sum(-1)
        if kernel == "gaussian":
            return (-squares / bandwidth**2).exp().mean()
        # The root has no gradient at 0, where a point meets itself; there it is taken as 0.
        apart = squares > 0
        distances = squares.where(apart, ones_like(squares)).sqrt() * apart
        return (-distances / bandwidth).exp().mean()

    return mean_kernel(first, first) + mean_kernel(second, second) - 2 * mean_kernel(first, second)


@dataclass(frozen=True)
class MinDiff:
    """What the difference of groups counts in training.

    Only usable images are compared: a group is wronged where its usable images are rejected, and
    where the usable images of two groups are scored alike, no threshold rejects more of one. How
    many usable images a group has is no wrong, and stays out.

    Attributes:
        weight: Of the discrepancies' sum beside the loss.
        kernel: How near two scores are, which are probabilities: log odds through the sigmoid, so
            that images of which the network is sure are alike however sure it is.
        usable: The classes of usable images; a segmenter has none, and its eyes count.
    """

    weight: float
    kernel: Kernel
    usable: tuple[int, ...] = ()

    def penalty(self, scores: Tensor, sides: Tensor) -> Tensor:
        """Weight times the sum over pairs of MMD², of probabilities (B,) and sides (B, P).

        A side is 1, -1 or, for neither, 0; a pair without images of both counts nothing.
        """
        found = scores.new_zeros(())
        for pair in sides.T:
            first, second = scores[pair > 0, None], scores[pair < 0, None]
            if len(first) and len(second):
                found = found + mmd2(first, second, self.kernel, _BANDWIDTH)
        return self.weight * found
