"""The order in which images are learned from: a function of the seed and the epoch alone.

So a run that was killed goes on with the batches it would have had, and several processes share
each batch that one would have had.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler
from torch.utils.data.distributed import DistributedSampler
from typing_extensions import override


class EpochOrder(BatchSampler):
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
        grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank = torch.distributed.get_rank() if grouped else 0
        processes = torch.distributed.get_world_size() if grouped else 1
        size = min(batch_size, count)
        if size % processes:
            raise ValueError(
                f"{processes} processes cannot share batches of {size} evenly; choose "
                "a batch_size that is a multiple of training.processes"
            )
        places: Any = range(count)  # all that the sampler asks of a data set is its length
        sampler = _Places(places, processes, rank, seed=seed, drop_last=True)
        super().__init__(sampler, size // processes, drop_last=True)


class _Places(DistributedSampler[Any]):
    """(epoch, place) of this process's share of each batch; Lightning sets the epoch."""

    dataset: Any

    @override
    def __iter__(self) -> Iterator[Any]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.dataset))
        for place in order[self.rank : self.total_size : self.num_replicas]:
            yield self.epoch, int(place)


def in_order(count: int, size: int) -> list[list[tuple[int, int]]]:
    """Batches of (0, place): every place once, in order."""
    return [
        [(0, place) for place in range(first, min(first + size, count))]
        for first in range(0, count, size)
    ]
