"""One training in several processes of this machine, which share every batch.

The processes find one another through a file and talk over the loopback interface: nothing listens
to the outside.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)
from torch.distributed.fsdp import FSDPModule

from iip_assets.embeddings.device import Device

Job = Callable[..., Mapping[str, Any]]


def in_processes(
    job: Job, arguments: Mapping[str, Any], *, processes: int, device: Device
) -> dict[str, Any]:
    """What `job(**arguments)` gives in the first of several processes that are one group.

    Args:
        job: A function at the top of a module; it gives tensors, numbers and words by name.
        arguments: Its keywords, which must survive pickling.
        processes: How many.
        device: On which they compute.

    Raises:
        RuntimeError: A process failed; it says which, and how.
    """
    with tempfile.TemporaryDirectory(prefix="iip-training-") as folder:
        multiprocessing: Any = torch.multiprocessing  # it has no annotations
        multiprocessing.spawn(
            _run, args=(job, dict(arguments), processes, folder, device), nprocs=processes
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
