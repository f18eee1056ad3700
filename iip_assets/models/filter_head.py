"""The filter's head: from an embedding to the three classes, one hidden layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as lightning
import torch
from numpy.typing import NDArray
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from iip_assets.embeddings.device import Device
from iip_assets.models.training import Progress, seeded, train

_HIDDEN = 64
_DROPOUT = 0.3
# Epochs without a lower validation loss after which training ends.
_PATIENCE = 8
_VALIDATION_BATCH = 4096


class FilterHead(torch.nn.Module):
    """(B, D) embeddings, standardised as the training pictures' were, to (B, K) logits."""

    mean: Tensor
    spread: Tensor

    def __init__(self, dimensions: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("spread", torch.ones(dimensions))
        self.hidden = torch.nn.Linear(dimensions, _HIDDEN)
        self.drop = torch.nn.Dropout(_DROPOUT)
        self.out = torch.nn.Linear(_HIDDEN, classes)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Logits of each class."""
        inputs = (embeddings - self.mean) / self.spread
        logits: Tensor = self.out(self.drop(functional.relu(self.hidden(inputs))))
        return logits


@dataclass(frozen=True)
class Examples:
    """Labelled embeddings.

    Attributes:
        embeddings: (N, D).
        classes: (N,) class indices.
        weights: (N,) what each picture counts.
    """

    embeddings: NDArray[np.float32]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.classes)


def class_balanced(examples: Examples, classes: int) -> NDArray[np.float64]:
    """Weights, mean 1, under which each class that occurs counts the same in sum.

    Pictures keep their weights relative to others of their class.
    """
    sums = np.bincount(examples.classes, weights=examples.weights, minlength=classes)
    balanced = examples.weights / sums[examples.classes]
    return np.asarray(balanced * len(examples) / balanced.sum())


def train_head(
    training: Examples,
    validation: Examples,
    *,
    classes: int,
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    batch_size: int,
    seed: int,
    device: Device,
    threads: int,
    progress: Progress,
) -> FilterHead:
    """The head with the lowest loss on the validation pictures; the last one if there are none."""
    with seeded(seed, threads=threads):
        head = FilterHead(training.embeddings.shape[1], classes)
        head.mean.copy_(torch.from_numpy(training.embeddings.mean(0)))
        # A number that never varies says nothing; dividing by its spread would only make noise.
        spread = training.embeddings.std(0)
        head.spread.copy_(torch.from_numpy(np.where(spread > 1e-6, spread, 1.0)))
        module = _Training(head, learning_rate, weight_decay)
        batches = DataLoader(
            _tensors(training, classes),
            batch_size=batch_size,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
        )
        held_out = None
        callbacks: list[lightning.Callback] = []
        if len(validation):
            held_out = DataLoader(_tensors(validation, classes), batch_size=_VALIDATION_BATCH)
            callbacks = [_KeepBest(), EarlyStopping("validation_loss", patience=_PATIENCE)]
        train(
            module,
            batches,
            epochs=epochs,
            device=device,
            progress=progress,
            label="training the filter",
            validation=held_out,
            callbacks=callbacks,
        )
    return head.eval()


def head_logits(head: FilterHead, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, K) logits."""
    with torch.inference_mode():
        return np.asarray(head(torch.from_numpy(embeddings)).numpy())


class _Training(lightning.LightningModule):
    """What a step is."""

    def __init__(self, head: FilterHead, learning_rate: float, weight_decay: float) -> None:
        super().__init__()
        self.head = head
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        return self._loss(batch)

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> None:
        self.log("validation_loss", self._loss(batch), batch_size=len(batch[1]))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.head.parameters(), lr=self._learning_rate, weight_decay=self._weight_decay
        )

    def _loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        embeddings, classes, weights = batch
        losses = functional.cross_entropy(self.head(embeddings), classes, reduction="none")
        return (losses * weights).sum() / weights.sum()


class _KeepBest(lightning.Callback):
    """Keeps the weights of the lowest validation loss in memory and puts them back at the end."""

    def __init__(self) -> None:
        self._lowest = float("inf")
        self._state: Mapping[str, Tensor] = {}

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        loss = float(trainer.callback_metrics["validation_loss"])
        if loss < self._lowest:
            self._lowest = loss
            self._state = {name: t.clone() for name, t in pl_module.state_dict().items()}

    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        del trainer
        if self._state:
            pl_module.load_state_dict(self._state)


def _tensors(examples: Examples, classes: int) -> TensorDataset:
    return TensorDataset(
        torch.from_numpy(examples.embeddings),
        torch.from_numpy(examples.classes),
        torch.from_numpy(class_balanced(examples, classes).astype(np.float32)),
    )
