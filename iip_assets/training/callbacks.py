"""What happens beside the steps of a training: the epochs' numbers, the best weights."""

from __future__ import annotations

from typing import Any, Literal

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor
from typing_extensions import override

from iip_assets.training.processes import put_whole_state, whole_state


class SeedSteps(lightning.Callback):
    """What torch draws in a step (dropout, say) depends on the seed and the step alone."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @override
    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any, **__: Any) -> None:
        torch.manual_seed(self._seed * 1_000_003 + trainer.global_step)


class History(lightning.Callback):
    """The numbers of each epoch, kept across a kill."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    @override
    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append({"epoch": float(trainer.current_epoch), **numbers})

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = list(state_dict["epochs"])


class KeepBest(lightning.Callback):
    """Keeps the weights of the best epoch and puts them back at the end.

    A training that is asked again after its last epoch has no end of its own: `put_back` is then
    for whoever asked.
    """

    def __init__(self, monitor: str, mode: Literal["min", "max"]) -> None:
        self._monitor = monitor
        self._sign = 1.0 if mode == "max" else -1.0
        self._best = float("-inf")
        self._state: dict[str, Tensor] = {}
        self._put_back = False
        self.epoch: int | None = None

    def put_back(self, module: lightning.LightningModule) -> None:
        """Gives the module the best epoch's weights, if it has not got them."""
        if self._state and not self._put_back:
            put_whole_state(module, self._state)
            self._put_back = True

    @override
    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        found = self._sign * float(trainer.callback_metrics[self._monitor])
        if found > self._best:
            self._best, self.epoch = found, trainer.current_epoch
            self._state = whole_state(pl_module)

    @override
    def on_train_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        del trainer
        self.put_back(pl_module)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "epoch": self.epoch, "state": self._state}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best, self.epoch = state_dict["best"], state_dict["epoch"]
        self._state = state_dict["state"]


class StopEarly(EarlyStopping):
    """Ends a training that gets no better; killed after its last epoch, it does not go on."""

    @override
    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True
