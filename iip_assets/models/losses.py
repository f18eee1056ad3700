"""Losses of the segmenter: cross-entropy for every pixel, Dice for classes of few pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from iip_assets.training.processes import total


def segmentation_loss(logits: Tensor, masks: Tensor, weights: Tensor, *, ignored: int) -> Tensor:
    """Cross-entropy plus Dice loss, a scalar, of the batch that all processes share.

    Args:
        logits: (B, K, H, W).
        masks: (B, H, W) class indices.
        weights: (B,) what each image counts.
        ignored: The index of pixels that do not count.
    """
    known = masks != ignored
    pixel_weights = known * weights[:, None, None]
    classes = masks.where(known, torch.zeros_like(masks))
    return cross_entropy(logits, classes, pixel_weights) + dice_loss(logits, classes, pixel_weights)


def cross_entropy(logits: Tensor, classes: Tensor, pixel_weights: Tensor) -> Tensor:
    """Mean cross-entropy of pixels (B, H, W) under their weights; 0 where none counts."""
    losses = functional.cross_entropy(logits, classes, reduction="none")
    lost, counted = total(torch.stack([(losses * pixel_weights).sum(), pixel_weights.sum()]))
    mean: Tensor = lost / counted.clamp(min=1e-6)
    return mean


def distillation_loss(
    logits: Tensor, said: Tensor, weights: Tensor, *, temperature: float
) -> Tensor:
    """Mean divergence (Kullback and Leibler) of a student from its teacher, a scalar.

    Multiplied by the square of the temperature, as Hinton, Vinyals and Dean (2015) do, so that its
    gradients are of the labels' size.

    Args:
        logits: (B, K, H, W) of the student.
        said: (B, K, H, W) the teacher's probabilities at that temperature.
        weights: (B,) what each image counts.
        temperature: By which logits were divided.
    """
    words = (logits / temperature).log_softmax(1)
    apart = functional.kl_div(words, said, reduction="none").sum(1)
    counted = weights[:, None, None].expand_as(apart)
    lost, all_of_it = total(torch.stack([(apart * counted).sum(), counted.sum()]))
    mean: Tensor = lost / all_of_it.clamp(min=1e-6)
    return temperature**2 * mean


def dice_loss(
    logits: Tensor, classes: Tensor, pixel_weights: Tensor, *, smooth: float = 1.0
) -> Tensor:
    """One minus the soft Dice coefficient, mean over the classes that occur in the batch.

    Milletari, Navab and Ahmadi (2016), with sums over the whole batch, so that an image without a
    class does not ask for a Dice of nothing.

    Args:
        logits: (B, K, H, W).
        classes: (B, H, W) class indices.
        pixel_weights: (B, H, W) what each pixel counts.
        smooth: Pixels added above and below the line, for classes of very few pixels.
    """
    shares = logits.softmax(1)
    truth = functional.one_hot(classes, logits.shape[1]).movedim(-1, 1)
    counted = pixel_weights[:, None]
    both, said, there = total(
        torch.stack([(part * counted).sum((0, 2, 3)) for part in (shares * truth, shares, truth)])
    )
    occurs = there > 0
    dice = (2 * both + smooth) / (said + there + smooth)
    loss: Tensor = ((1 - dice) * occurs).sum() / occurs.sum().clamp(min=1)
    return loss
