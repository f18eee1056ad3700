"""One training in several processes of this machine, which share every batch and its statistics.

The processes find one another through a file and talk over the loopback interface: nothing listens
to the outside.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.fsdp import FSDPModule
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.data import BatchSampler
from torch.utils.data.distributed import DistributedSampler
from typing_extensions import override

from iip_assets.embeddings.device import Device

Job = Callable[..., Mapping[str, Any]]


def in_processes(
    job: Job, arguments: Mapping[str, Any], *, processes: int, device: Device
) -> dict[str, Any]:
    """What `job(**arguments)` gives in the first of several processes that are one group.

    The job is a function at the top of a module that gives tensors, numbers and words by name; its
    keywords must survive pickling.

    Raises:
        RuntimeError: A process failed; it says which, and how.
    """
    with tempfile.TemporaryDirectory(prefix="iip-training-") as folder:
        multiprocessing: Any = torch.multiprocessing  # it has no annotations
        multiprocessing.spawn(
            _run,
            args=(job, dict(arguments), processes, folder, device),
            nprocs=processes,
            daemon=True,  # stopped with this process
        )
        found: dict[str, Any] = torch.load(Path(folder) / "result", weights_only=True)
        return found


def _run(  # noqa: PLR0917 - called by position, by torch
    rank: int, job: Job, arguments: dict[str, Any], processes: int, folder: str, device: Device
) -> None:
    os.environ.update(LOCAL_RANK=str(rank), GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")
    torch.distributed.init_process_group(
        "gloo" if device == "cpu" else "nccl",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=processes,
    )
    try:
        found = job(**arguments)
        if rank == 0:
            torch.save(dict(found), Path(folder) / "result")
    finally:
        with suppress(RuntimeError, AssertionError):
            torch.distributed.destroy_process_group()


def total(values: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow; the values themselves in one.

    Every process then has the loss of the whole batch, and the mean of their gradients, which is
    what data-parallel training takes, is the gradient of that loss.
    """
    if not _in_group():
        return values
    summed: Tensor = _Total.apply(values)
    return summed


class _Total(torch.autograd.Function):
    """What every process adds is in every process's sum, so gradients are summed likewise."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        del ctx
        return _summed(gradient)


def _summed(values: Tensor) -> Tensor:
    found = values.clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(found)
    return found


def whole_state(module: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of all weights by name, also where each process holds a part of them."""
    _share_out(module)
    state: dict[str, Any] = (
        get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
        if _in_group()
        else module.state_dict()
    )
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def put_whole_state(module: torch.nn.Module, state: dict[str, Tensor]) -> None:
    """Puts back what `whole_state` gave."""
    _share_out(module)
    if _in_group():
        set_model_state_dict(module, dict(state), options=StateDictOptions(full_state_dict=True))
    else:
        module.load_state_dict(state)


def _share_out(module: torch.nn.Module) -> None:
    """Each process keeps its part of the weights alone; after a forward pass it has them all."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.reshard()


def _in_group() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def shared_norm() -> AbstractContextManager[Any]:
    """Batch statistics inside are those of all processes; in one process nothing changes."""
    return _SharedNorm() if _in_group() else nullcontext()


class _SharedNorm(TorchFunctionMode):
    """Replaces the one function that all layers of batch normalization call.

    PyTorch's own shared layer works on GPUs alone, and its conversion takes from timm's layers the
    activation that they hold.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        if func is functional.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _batch_norm(  # noqa: PLR0917 - called by position, as PyTorch's is
    values: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """As `torch.nn.functional.batch_norm`, for (B, C, …), the batch being that of all processes."""
    if not training:
        return torch.batch_norm(
            values, weight, bias, running_mean, running_var, training, momentum, eps, False
        )
    # Sums of many numbers need more digits and room than sixteen bits have.
    given, values = values.dtype, values if values.dtype == torch.float64 else values.float()
    axes = [0, *range(2, values.ndim)]
    shape = [1, -1] + [1] * (values.ndim - 2)
    count = total(values.new_tensor([values.numel() / values.shape[1]]))
    mean = total(values.sum(axes)) / count
    centred = values - mean.view(shape)
    variance = total(centred.square().sum(axes)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.detach(), momentum)
            running_var.lerp_(variance.detach() * count / (count - 1), momentum)
    found = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        found = found * weight.view(shape)
    if bias is not None:
        found = found + bias.view(shape)
    return found.to(given)


class EpochOrder(BatchSampler):
    """Batches of (epoch, place): every place once an epoch, in an order of the epoch's own.

    A last batch that is not full is left out, unless it is the only one: it would count as much
    as a full one, and one image alone has no statistics to normalise by.
    """

    def __init__(
        self,
        count: int,
        *,
        batch_size: int,
        seed: int,
        sides: NDArray[np.int8] | None = None,
        drawn: NDArray[np.float64] | None = None,
    ) -> None:
        """An order of `count` places, `batch_size` a batch over all processes together.

        Args:
            count: How many places.
            batch_size: Of each of them.
            seed: Of all epochs.
            sides: (N, G) 1, -1 or 0. Every batch has places of each side of each column: they are
                dealt evenly, and a batch that has none of a side, which has fewer places than
                there are batches, takes one more, drawn of that side.
            drawn: (N,) how often each place comes in proportion to others, rather than once.

        Raises:
            ValueError: The batches cannot be shared evenly among the processes.
        """
        rank = torch.distributed.get_rank() if _in_group() else 0
        processes = torch.distributed.get_world_size() if _in_group() else 1
        size = min(batch_size, count)
        if size % processes:
            raise ValueError(
                f"{processes} processes cannot share batches of {size} evenly; choose "
                "a batch_size that is a multiple of training.processes"
            )
        self._sides = sides
        places: Any = range(count)  # all that the sampler asks of a data set is its length
        sampler = _Places(places, processes, rank, seed=seed, drop_last=True)
        sampler.sides, sampler.drawn = sides, drawn
        super().__init__(sampler, size // processes, drop_last=True)

    @override
    def __iter__(self) -> Iterator[list[Any]]:
        if self._sides is None:
            yield from super().__iter__()
            return
        sampler: Any = self.sampler
        rng = np.random.default_rng([sampler.seed, sampler.epoch, 1])
        held = [one == side for one in self._sides.T for side in (1, -1)]
        batches: Iterator[Any] = super().__iter__()
        for batch in batches:
            places = [place for _, place in batch]
            lacking = [side for side in held if side.any() and not side[places].any()]
            more = [int(rng.choice(np.flatnonzero(side))) for side in lacking]
            yield [*batch, *((sampler.epoch, place) for place in more)]


class _Places(DistributedSampler[Any]):
    """(epoch, place) of this process's share of each batch; Lightning sets the epoch."""

    dataset: Any
    sides: NDArray[np.int8] | None
    drawn: NDArray[np.float64] | None

    @override
    def __iter__(self) -> Iterator[Any]:
        rng, count = np.random.default_rng([self.seed, self.epoch]), len(self.dataset)
        places = np.arange(count) if self.drawn is None else _resampled(self.drawn, rng)
        order = rng.permutation(places)
        if self.sides is not None:
            order = _dealt(order, self.sides, rng)
        for place in order[self.rank : self.total_size : self.num_replicas]:
            yield self.epoch, int(place)


def _resampled(weights: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """N places of N, each as often as its weight says, up or down to a whole number.

    Systematic sampling: an even comb over the sum of the weights, from a random start.
    """
    ends = np.floor(np.cumsum(weights) / weights.sum() * len(weights) + rng.random())
    ends[-1] = len(weights)
    return np.repeat(np.arange(len(weights)), np.diff(ends.astype(np.int64), prepend=0))


def _dealt(
    order: NDArray[np.int64], sides: NDArray[np.int8], rng: np.random.Generator
) -> NDArray[np.int64]:
    """The places in an order in which those of each kind of sides come at even distances."""
    kinds = np.unique(sides[order], axis=0, return_inverse=True)[1].reshape(-1)
    when = np.empty(len(order))
    for kind in range(kinds.max() + 1):
        of_kind = np.flatnonzero(kinds == kind)
        when[of_kind] = (np.arange(len(of_kind)) + rng.random()) / len(of_kind)
    return order[np.argsort(when, kind="stable")]


def in_order(count: int, size: int) -> list[list[tuple[int, int]]]:
    """Batches of (0, place): every place once, in order."""
    return [
        [(0, place) for place in range(first, min(first + size, count))]
        for first in range(0, count, size)
    ]
