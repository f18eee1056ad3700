"""The segmenter: a U-Net on a timm encoder, from masked images to weights."""

from __future__ import annotations

from collections.abc import Sequence

import segmentation_models_pytorch as smp
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from segmentation_models_pytorch.base import SegmentationHead
from torch import Tensor
from torch.utils.data import DataLoader
from typing_extensions import override

from iip_assets.embeddings.backbone import PACKAGED_MODEL, packaged_weights
from iip_assets.images.decode import NOT_LABELLED
from iip_assets.models.distillation import Distillation
from iip_assets.models.losses import segmentation_loss
from iip_assets.models.masked_images import MaskedImages
from iip_assets.training.processes import EpochOrder, in_order, shared_norm
from iip_assets.training.trainer import (
    Around,
    Best,
    Schedule,
    Task,
    Trained,
    run_training,
    seeded,
    train,
)

_VALIDATION_BATCH = 16


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


def train_segmenter(
    network: torch.nn.Module,
    examples: MaskedImages,
    validation: MaskedImages | None,
    schedule: Schedule,
    *,
    around: Around,
    distillation: Distillation | None = None,
) -> Trained:
    """Trains the network in place, on one cycle of the learning rate (Smith and Topin 2018).

    Args:
        network: From `build_network`.
        examples: Images to learn from.
        validation: Images, not augmented, by whose mean IoU the best epoch is told; without them
            the last one counts.
        schedule: How long and how fast.
        around: Where, watched by whom.
        distillation: Of a teacher, whose frame `examples` are then in.
    """
    return run_training(
        _train,
        network,
        examples=examples,
        validation=validation,
        schedule=schedule,
        distillation=distillation,
        around=around,
    )


def _train(
    network: torch.nn.Module,
    examples: MaskedImages,
    validation: MaskedImages | None,
    *,
    schedule: Schedule,
    distillation: Distillation | None,
    around: Around,
) -> Trained:
    with seeded(schedule.seed, threads=around.machine.threads):
        order = EpochOrder(len(examples), batch_size=schedule.batch_size, seed=schedule.seed)
        held_out = None
        if validation is not None and len(validation):
            batches = in_order(len(validation), _VALIDATION_BATCH)
            held_out = DataLoader(validation, batch_sampler=batches)
        return train(
            SegmenterTask(
                network, schedule, steps=schedule.epochs * len(order), distillation=distillation
            ),
            DataLoader(examples, batch_sampler=order),
            epochs=schedule.epochs,
            seed=schedule.seed,
            around=around,
            label="training the segmenter",
            validation=held_out,
            best=Best("validation_mean_iou", "max", schedule.patience),
        )


class SegmenterTask(Task):
    """A step of the segmenter, and what its validation measures."""

    def __init__(
        self,
        network: torch.nn.Module,
        schedule: Schedule,
        *,
        steps: int,
        distillation: Distillation | None = None,
    ) -> None:
        # Convolutions run faster on a CPU, too, with a pixel's channels beside one another.
        super().__init__(network.to(memory_format=torch.channels_last))
        self._schedule = schedule
        self._steps = steps
        self._lesson = distillation
        self._counts: Tensor | None = None

    @override
    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        images, masks, weights = batch
        images = images.contiguous(memory_format=torch.channels_last)
        distillation = self._lesson
        said = distillation.hear(images) if distillation else None
        if distillation:
            images, masks = distillation.shrunk(images, masks)
        with shared_norm():
            logits = self.network(images).float()
        loss = segmentation_loss(logits, masks, weights, ignored=NOT_LABELLED)
        if distillation and said is not None:
            loss = distillation.loss(logits, said, weights, loss)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(masks))
        return loss

    @override
    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> None:
        images, masks, weights = batch
        logits = self.network(images.contiguous(memory_format=torch.channels_last)).float()
        loss = segmentation_loss(logits, masks, weights, ignored=NOT_LABELLED)
        self.log("validation_loss", loss, batch_size=len(masks))
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
        there, said = self._counts.sum(1), self._counts.sum(0)
        by_class = right / (there + said - right).clamp(min=1)
        self.log("validation_mean_iou", by_class[there > 0].mean())
        self._counts = None

    @override
    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=self._schedule.learning_rate,
            weight_decay=self._schedule.weight_decay,
        )
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
