"""The segmenter: a U-Net on a timm encoder, from masked pictures to weights."""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as lightning
import segmentation_models_pytorch as smp
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.utils.data import DataLoader

from iip_assets.dataset.decode import NOT_LABELLED
from iip_assets.embeddings.device import Device
from iip_assets.embeddings.weights import PACKAGED_MODEL, packaged_weights
from iip_assets.models.losses import segmentation_loss
from iip_assets.models.masked_pictures import MaskedPictures
from iip_assets.models.training import Progress, seeded, train

_WEIGHT_DECAY = 0.01


def build_network(
    encoder: str, *, classes: int, decoder_channels: Sequence[int], pretrained: bool, seed: int
) -> torch.nn.Module:
    """A U-Net from (B, 3, H, W) to logits (B, K, H, W), sides in multiples of 32.

    Args:
        encoder: A timm model's name.
        classes: K.
        decoder_channels: Channels of the five steps up, coarsest first.
        pretrained: Put the packaged ImageNet weights into the encoder.
        seed: Of what the other weights start from.

    Raises:
        ValueError: The packaged weights belong to another encoder.
    """
    with seeded(seed, threads=1):
        network: torch.nn.Module = smp.Unet(
            f"tu-{encoder}",
            encoder_weights=None,
            classes=classes,
            decoder_channels=tuple(decoder_channels),
        )
    if pretrained:
        _load_encoder(network.get_submodule("encoder.model"), encoder)
    return network


def has_packaged_weights(encoder: str) -> bool:
    """Whether the packaged weights belong to this encoder; any other starts from nothing."""
    return encoder == PACKAGED_MODEL


def train_segmenter(
    network: torch.nn.Module,
    examples: MaskedPictures,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    seed: int,
    device: Device,
    threads: int,
    progress: Progress,
) -> None:
    """Trains the network in place, on one cycle of the learning rate (Smith and Topin 2018)."""
    with seeded(seed, threads=threads):
        batches = DataLoader(
            examples,
            batch_size=batch_size,
            shuffle=True,
            # A last batch of one picture has no statistics to normalise by.
            drop_last=len(examples) > batch_size,
            generator=torch.Generator().manual_seed(seed),
        )
        module = _Training(network, learning_rate, steps=epochs * len(batches))
        train(
            module,
            batches,
            epochs=epochs,
            device=device,
            progress=progress,
            label="training the segmenter",
        )
    network.eval()


class _Training(lightning.LightningModule):
    """What a step is."""

    def __init__(self, network: torch.nn.Module, learning_rate: float, steps: int) -> None:
        super().__init__()
        # Convolutions run faster on a CPU, too, with a pixel's channels beside one another.
        self._network = network.to(memory_format=torch.channels_last)
        self._learning_rate = learning_rate
        self._steps = steps

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        images, masks, weights = batch
        logits = self._network(images.contiguous(memory_format=torch.channels_last))
        return segmentation_loss(logits, masks, weights, ignored=NOT_LABELLED)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        optimizer = torch.optim.AdamW(
            self._network.parameters(), lr=self._learning_rate, weight_decay=_WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self._learning_rate,
            # With five steps the warm-up would have no length, and the schedule divides by that.
            total_steps=max(self._steps, 6),
            pct_start=0.2,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
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
