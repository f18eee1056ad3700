"""The segmenter: a U-Net on a timm encoder, its training step, and the losses that it learns by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.base import SegmentationHead
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from iip_assets.embeddings.backbone import PACKAGED_MODEL, packaged_weights
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.models.distillation import Distillation
from iip_assets.models.fair_task import FairTask, GroupLoss, Scored, log_odds
from iip_assets.training.processes import shared_norm, total
from iip_assets.training.trainer import Schedule, seeded


def build_network(
    encoder: str, *, classes: int, decoder_channels: Sequence[int], pretrained: bool, seed: int
) -> torch.nn.Module:
    """A U-Net from (B, 3, H, W) to logits (B, K, H, W), sides in multiples of 32.

    Args:
        encoder: A timm model's name.
        classes: K.
        decoder_channels: Channels of the steps up, coarsest first. Five lead to the input's
            resolution; after four the logits are enlarged from half of it, which takes two thirds
            of the time.
        pretrained: Put the packaged ImageNet weights into the encoder.
        seed: Of what the other weights start from.

    Raises:
        ValueError: The packaged weights belong to another encoder.
    """
    steps = len(decoder_channels)
    with seeded(seed, threads=1):
        network: torch.nn.Module = smp.Unet(
            f"tu-{encoder}",
            encoder_weights=None,
            classes=classes,
            decoder_channels=(*decoder_channels, *[decoder_channels[-1]] * (5 - steps)),
        )
        if steps < 5:
            blocks = list(network.get_submodule("decoder.blocks").children())
            network.get_submodule("decoder").blocks = torch.nn.ModuleList(blocks[:steps])
            network.segmentation_head = SegmentationHead(
                decoder_channels[-1], classes, kernel_size=3, upsampling=2
            )
    if pretrained:
        _load_encoder(network.get_submodule("encoder.model"), encoder)
    return network


def has_packaged_weights(encoder: str) -> bool:
    """Whether the packaged weights belong to this encoder; any other starts from nothing."""
    return encoder == PACKAGED_MODEL


class SegmenterTask(FairTask):
    """A step of the segmenter, and what its validation measures.

    It learns on one cycle of the learning rate (Smith and Topin 2018). With a distillation its
    examples are in the teacher's frame. A remedy is about the share of an eye's pixels that are
    told right, image by image.
    """

    monitor = "validation_mean_iou"
    mode = "max"

    def __init__(
        self,
        network: torch.nn.Module,
        schedule: Schedule,
        *,
        steps: int,
        distillation: Distillation | None = None,
        fair: GroupLoss | None = None,
    ) -> None:
        super().__init__(network, schedule, steps=steps, fair=fair)
        self._distillation = distillation
        self._counts: Tensor | None = None

    @override
    def training_step(self, batch: tuple[Tensor, ...], _: int) -> Tensor:
        images, masks, weights, *sides = batch
        images = images.contiguous(memory_format=torch.channels_last)
        distillation = self._distillation
        teacher = distillation.probabilities(images) if distillation else None
        if distillation:
            images, masks = distillation.shrunk(images, masks)
        with shared_norm():
            logits = self.network(images).float()
        loss = segmentation_loss(logits, masks, weights, ignored=NOT_LABELLED)
        if distillation and teacher is not None:
            loss = distillation.loss(logits, teacher, weights, loss)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(masks))
        return self.with_remedy(loss, self._scored(logits, masks, sides[0])) if sides else loss

    @override
    def validation_step(self, batch: tuple[Tensor, ...], _: int) -> None:
        images, masks, weights, *sides = batch
        logits = self.network(images.contiguous(memory_format=torch.channels_last)).float()
        loss = segmentation_loss(logits, masks, weights, ignored=NOT_LABELLED)
        self.log("validation_loss", loss, batch_size=len(masks))
        if sides:
            self.keep_validation(self._scored(logits, masks, sides[0]), loss)
        classes = logits.shape[1]
        known = masks != NOT_LABELLED
        cells = masks[known] * classes + logits.argmax(1)[known]
        counts = torch.bincount(cells, minlength=classes * classes).reshape(classes, classes)
        self._counts = counts if self._counts is None else self._counts + counts

    @override
    def on_validation_epoch_end(self) -> None:
        if self._counts is None:
            return
        right = self._counts.diagonal().double()
        there, predicted = self._counts.sum(1), self._counts.sum(0)
        by_class = right / (there + predicted - right).clamp(min=1)
        mean_iou = by_class[there > 0].mean()
        self.log("validation_mean_iou", mean_iou)
        self.log_goal(mean_iou)
        self._counts = None

    def _scored(self, logits: Tensor, masks: Tensor, sides: Tensor) -> Scored:
        """How surely the pixels of each eye are told right."""
        assert self.fair is not None
        counted = torch.isin(masks, masks.new_tensor(self.fair.usable))
        right = functional.one_hot(masks.where(counted, 0), logits.shape[1]).movedim(-1, 1) > 0
        return Scored.of(log_odds(logits, right).flatten(1), counted.flatten(1), sides)

    @override
    def configure_optimizers(self) -> Any:
        optimizer = super().configure_optimizers()
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self._schedule.learning_rate,
            # With five steps the warm-up would have no length, and the schedule divides by that.
            total_steps=max(self._steps, 6),
            pct_start=0.2,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": cycle, "interval": "step"},
        }


def _load_encoder(encoder: torch.nn.Module, name: str) -> None:
    """Puts the packaged weights into the encoder, which has all layers but the classifier's."""
    if not has_packaged_weights(name):
        raise ValueError(
            f"the packaged weights belong to {PACKAGED_MODEL!r}, not to {name!r}; use that "
            "encoder, or build this one with pretrained=False"
        )
    packaged = packaged_weights()
    wanted = encoder.state_dict().keys()
    encoder.load_state_dict({key: packaged[key] for key in wanted}, strict=True)


def segmentation_loss(logits: Tensor, masks: Tensor, weights: Tensor, *, ignored: int) -> Tensor:
    """Cross-entropy plus Dice loss, a scalar, of the batch that all processes share.

    Of logits (B, K, H, W) against class indices (B, H, W), of which those that are `ignored` do not
    count, under what each image counts, (B,).
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


def dice_loss(
    logits: Tensor, classes: Tensor, pixel_weights: Tensor, *, smooth: float = 1.0
) -> Tensor:
    """One minus the soft Dice coefficient, mean over the classes that occur in the batch.

    Milletari, Navab and Ahmadi (2016), with sums over the whole batch, so that an image without a
    class does not ask for a Dice of nothing. Of logits (B, K, H, W) against class indices (B, H, W)
    under what each pixel counts; `smooth` pixels are added above and below the line, for classes of
    very few pixels.
    """
    shares = logits.softmax(1)
    truth = functional.one_hot(classes, logits.shape[1]).movedim(-1, 1)
    counted = pixel_weights[:, None]
    both, predicted, there = total(
        torch.stack([(part * counted).sum((0, 2, 3)) for part in (shares * truth, shares, truth)])
    )
    occurs = there > 0
    dice = (2 * both + smooth) / (predicted + there + smooth)
    loss: Tensor = ((1 - dice) * occurs).sum() / occurs.sum().clamp(min=1)
    return loss
