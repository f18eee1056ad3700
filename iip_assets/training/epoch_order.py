"""The order in which images are learned from: a function of the seed and the epoch alone.

So a run that was killed goes on with the batches it would have had, and several processes share
each batch that one would have had.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


class EpochOrder(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, place): every place once an epoch, in an order of the epoch's own.

    A last batch that is not full is left out, unless it is the only one: it would count as much
    as a full one, and one image alone has no statistics to normalise by.
    """

    def __init__(self, count: int, *, batch_size: int, seed: int) -> None:
        """An order of `count` places.

        Args:
            count: How many places there are.
            batch_size: Places a batch, over all processes together.
            seed: Of the order.

        Raises:
            ValueError: The batches cannot be shared evenly among the processes.
        """
        self._count = count
        self._seed = seed
        self._epoch = 0
        self._size = min(batch_size, count)
        grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
        self._rank = torch.distributed.get_rank() if grouped else 0
        self._processes = torch.distributed.get_world_size() if grouped else 1
        if self._size % self._processes:
            raise ValueError(
                f"{self._processes} processes cannot share batches of {self._size} evenly; choose "
                "a batch_size that is a multiple of training.processes"
            )

    @property
    def sampler(self) -> EpochOrder:
        """Itself: Lightning tells the epoch to what a sampler of batches samples from."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Which epoch comes next; Lightning calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count // self._size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._count)
        share = self._size // self._processes
        for batch in range(len(self)):
            first = batch * self._size + self._rank * share
            yield [(self._epoch, int(place)) for place in order[first : first + share]]


def in_order(count: int, size: int) -> list[list[tuple[int, int]]]:
    """Batches of (0, place): every place once, in order."""
    return [
        [(0, place) for place in range(first, min(first + size, count))]
        for first in range(0, count, size)
    ]
