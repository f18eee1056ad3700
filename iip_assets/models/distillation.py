"""What a segmenter learns from a teacher, step by step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from iip_assets.inference.frame import Frame
from iip_assets.models.losses import distillation_loss

# Softens what the teacher is sure of; 2 to 5 is usual for a student that is much smaller.
_TEMPERATURE = 2.0


@dataclass(frozen=True)
class Distillation:
    """What a segmenter learns from its teacher.

    Attributes:
        network: The teacher, (B, 3, H, W) to (B, K, H, W) logits.
        frame: Its input: training images come in it, so that it sees as well as it can.
        shrink: How many times smaller the student's input is, in each direction.
        share: Of the loss that the teacher's probabilities have; the masks have the rest.
    """

    network: torch.nn.Module
    frame: Frame
    shrink: int
    share: float

    def hear(self, images: Tensor) -> Tensor:
        """What the teacher says of images in its frame: (B, K, h, w) softened probabilities."""
        with torch.inference_mode():
            network = self.network.to(images.device)
            said = (network(images).float() / _TEMPERATURE).softmax(1)
        return functional.avg_pool2d(said.clone(), self.shrink)

    def shrunk(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and masks (B, H, W) at the student's size."""
        middle = self.shrink // 2
        small = functional.avg_pool2d(images, self.shrink)
        return small, masks[:, middle :: self.shrink, middle :: self.shrink]

    def loss(self, logits: Tensor, said: Tensor, weights: Tensor, labelled: Tensor) -> Tensor:
        """The student's whole loss, from that of the masks."""
        heard = distillation_loss(logits, said, weights, temperature=_TEMPERATURE)
        return (1 - self.share) * labelled + self.share * heard
