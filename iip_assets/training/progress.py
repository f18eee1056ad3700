"""How far a training is, for people: step by step and epoch by epoch.

Nothing here changes a model, so this module is in nobody's code key (`graph.FRAMEWORK`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import pytorch_lightning as lightning
from typing_extensions import override

from iip_assets.engine.context import in_time

T = TypeVar("T")

# Seconds between lines: many short epochs are no news each.
_LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Passes items through and shows how far it is, as `AssetContext.progress` does."""

    def __call__(self, items: Iterable[T], *, total: int | None, label: str) -> Iterable[T]:
        """The same items."""
        ...


def silent(words: str) -> None:
    """Says nothing."""
    del words


def to_stderr(words: str) -> None:
    """Says it on standard error, from whichever process."""
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def no_progress(items: Iterable[T], *, total: int | None, label: str) -> Iterable[T]:
    """Shows nothing."""
    del total, label
    return items


class Watched(lightning.Callback):
    """Moves the progress on by one with every step, and says now and then how an epoch went.

    A resumed training begins where it was.
    """

    def __init__(
        self, progress: Progress, log: Callable[[str], None], *, steps: int, epochs: int, label: str
    ) -> None:
        self._progress = progress
        self._log = log
        self._steps = steps
        self._epochs = epochs
        self._label = label
        self._ticks: Iterator[int] = iter(())
        self._first = 0
        self._started = self._last = 0.0

    @override
    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        left = self._steps - trainer.global_step
        self._ticks = iter(self._progress(range(left), total=left, label=self._label))
        next(self._ticks, None)
        self._first = trainer.current_epoch
        self._started = self._last = time.monotonic()

    @override
    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        next(self._ticks, None)

    @override
    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        now, done = time.monotonic(), trainer.current_epoch + 1
        if now - self._last < _LINE_EVERY_S or not trainer.is_global_zero:
            return
        self._last = now
        left = (self._epochs - done) * (now - self._started) / (done - self._first)
        numbers = "".join(
            f", {name.replace('_', ' ')} {float(value):.3g}"
            for name, value in sorted(trainer.callback_metrics.items())
        )
        at_most = f"; at most {in_time(left)} left" if done < self._epochs else ""
        self._log(f"{self._label}: epoch {done} of {self._epochs}{numbers}{at_most}")

    @override
    def on_train_end(self, *_: Any, **__: Any) -> None:
        # An epoch that was the last before its time leaves the bar unfinished.
        for tick in self._ticks:
            del tick
