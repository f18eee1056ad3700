"""A teacher: a trained model whose probabilities another one learns beside the labels.

Hinton, Vinyals and Dean (2015): what a teacher holds possible says more than the one right word,
so that a small network learns more of the same images.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Files
from iip_assets.inference.filter import has_head, probabilities_of
from iip_assets.inference.frame import Frame
from iip_assets.metrics.names import FILTER_CLASSES
from iip_assets.training.processes import total

# Softens what the teacher is sure of; 2 to 5 is usual for a student that is much smaller.
_TEMPERATURE = 2.0

_MAKES_EMBEDDINGS = ("weights_sha256", "input_width", "input_height")


class UnfitTeacherError(ValueError):
    """The teacher cannot teach this student; the words say why."""


def teacher_files(
    context: AssetContext, asset: str, data_version: str
) -> Mapping[str, bytes] | None:
    """The files of the model that a setting names as teacher, if it does.

    Raises:
        LookupError: It is not kept in this workspace.
    """
    if not data_version:
        return None
    try:
        found: Files = context.recorded(asset, data_version)
    except LookupError as error:
        raise LookupError(
            f"the teacher is gone: {error}; name another with `iip models distill`, or empty the "
            "setting"
        ) from None
    return found.parts


def softened_truth(
    images: pl.DataFrame,
    classes: NDArray[np.int64],
    teacher: Mapping[str, bytes],
    *,
    backbone: Mapping[str, Any],
    load_image: Callable[[str], NDArray[np.uint8]],
    share: float,
    threads: int,
) -> NDArray[np.float32]:
    """(N, K) shares of classes: the labels', and, by `share`, the word of a trained filter.

    The N images have `image_id` and `embedding`, and `classes` are their labels (N,). The card of
    the backbone that made the embeddings must fit a teacher that is a head.

    Raises:
        UnfitTeacherError: It is a head on other embeddings.
    """
    labels = np.eye(len(FILTER_CLASSES), dtype=np.float32)[classes]
    if not len(classes):
        return labels
    if has_head(teacher):
        card = json.loads(teacher["card.json"])
        if any(card[name] != backbone[name] for name in _MAKES_EMBEDDINGS):
            raise UnfitTeacherError(
                "the teacher is a head on other embeddings: of another backbone, or of another "
                "embeddings.width or height; choose another filter.teacher"
            )
    shares = probabilities_of(images, teacher, load_image=load_image, threads=threads)
    return ((1 - share) * labels + share * shares).astype(np.float32)


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

    def probabilities(self, images: Tensor) -> Tensor:
        """The teacher's softened probabilities, (B, K, h, w), for images in its frame."""
        with torch.inference_mode():
            network = self.network.to(images.device)
            shares = (network(images).float() / _TEMPERATURE).softmax(1)
        return functional.avg_pool2d(shares.clone(), self.shrink)

    def shrunk(self, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) and masks (B, H, W) at the student's size."""
        middle = self.shrink // 2
        small = functional.avg_pool2d(images, self.shrink)
        return small, masks[:, middle :: self.shrink, middle :: self.shrink]

    def loss(self, logits: Tensor, teacher: Tensor, weights: Tensor, labelled: Tensor) -> Tensor:
        """The student's whole loss, from the teacher's probabilities and the loss of the masks."""
        taught = distillation_loss(logits, teacher, weights, temperature=_TEMPERATURE)
        return (1 - self.share) * labelled + self.share * taught


def distillation_loss(
    logits: Tensor, teacher: Tensor, weights: Tensor, *, temperature: float
) -> Tensor:
    """Mean divergence (Kullback and Leibler) of a student from its teacher, a scalar.

    Of the student's logits (B, K, H, W) from the teacher's probabilities at that temperature, under
    what each image counts, (B,). Multiplied by the square of the temperature, as Hinton, Vinyals
    and Dean (2015) do, so that its gradients are of the labels' size.
    """
    student = (logits / temperature).log_softmax(1)
    apart = functional.kl_div(student, teacher, reduction="none").sum(1)
    counted = weights[:, None, None].expand_as(apart)
    lost, all_of_it = total(torch.stack([(apart * counted).sum(), counted.sum()]))
    mean: Tensor = lost / all_of_it.clamp(min=1e-6)
    return temperature**2 * mean
