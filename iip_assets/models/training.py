"""Training with Lightning: quiet, seeded, and leaving nothing behind but the weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytorch_lightning as lightning
import torch
from torch.utils.data import DataLoader

from iip_assets.embeddings.device import Device


class Progress(Protocol):
    """Passes items through and shows how far it is, as `Work.progress` does."""

    def __call__(self, items: Iterable[int], *, total: int | None, label: str) -> Iterable[int]:
        """The same items."""
        ...


def no_progress(items: Iterable[int], *, total: int | None, label: str) -> Iterable[int]:
    """Shows nothing."""
    del total, label
    return items


def train(
    module: lightning.LightningModule,
    batches: DataLoader[Any],
    *,
    epochs: int,
    device: Device,
    progress: Progress,
    label: str,
    validation: DataLoader[Any] | None = None,
    callbacks: Iterable[lightning.Callback] = (),
) -> None:
    """Trains the module in place.

    Args:
        module: Says what a step is.
        batches: The training batches.
        epochs: The most passes over them.
        device: Where.
        progress: Shows how far it is, in steps.
        label: What is being trained, in words.
        validation: Batches for the module's validation step.
        callbacks: Further Lightning callbacks.
    """
    steps = epochs * len(batches)
    ticks = _Ticks(progress(range(steps), total=steps, label=label))
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="cpu" if device == "cpu" else "gpu",
            devices=1,
            max_epochs=epochs,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=[ticks, *callbacks],
        )
        trainer.fit(module, batches, validation)
    module.to("cpu")


@contextmanager
def seeded(seed: int, *, threads: int) -> Iterator[None]:
    """Everything torch draws inside comes from the seed; all is put back afterwards.

    On one machine, with one thread count, the same seed gives the same bits on the CPU. A GPU has
    operators without a deterministic form, which then differ in the last bits.
    """
    strict, only_warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    threads_before = torch.get_num_threads()
    switches: Any = torch.utils.deterministic  # its class has no annotations
    fills = switches.fill_uninitialized_memory
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(mode=True, warn_only=torch.cuda.is_available())
        # It costs a sixth of the time and guards against code that reads what it never wrote.
        switches.fill_uninitialized_memory = False
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(mode=strict, warn_only=only_warns)
            switches.fill_uninitialized_memory = fills
            torch.set_num_threads(threads_before)


class _Ticks(lightning.Callback):
    """Moves the progress one on with every step."""

    def __init__(self, ticks: Iterable[int]) -> None:
        self._ticks = iter(ticks)
        next(self._ticks, None)

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        next(self._ticks, None)

    def on_train_end(self, *_: Any, **__: Any) -> None:
        for _tick in self._ticks:  # early stopping leaves some over
            pass


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advertisements and its advice about workers and loggers."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning\..*")
            warnings.filterwarnings("ignore", message=r".*does not have many workers.*")
            yield
    finally:
        logger.setLevel(level)
