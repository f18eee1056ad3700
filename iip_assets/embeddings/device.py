"""Which device the work is done on."""

from __future__ import annotations

import ctypes
import logging
import os
from typing import Literal

from iip_assets.errors import UserError

_logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")


class UnusableGpuError(UserError, RuntimeError):
    """A GPU was asked for and cannot be used."""


def resolve_device(wanted: Literal["auto", "cpu", "cuda"], *, found: bool = False) -> Device:
    """The device that is meant: `auto` is the GPU where there is one that works.

    Args:
        wanted: The setting `compute.device`.
        found: Whether it says what was found on this machine for `auto`.

    Raises:
        UnusableGpuError: A GPU was asked for by name and there is none, or it does not work.
    """
    if wanted == "cpu":
        return "cpu"
    hindrance = _cuda_hindrance()
    if hindrance is None:
        return "cuda"
    if wanted == "cuda" and not found:
        raise UnusableGpuError(
            f"compute.device is 'cuda', but {hindrance}; set it to 'auto' or 'cpu'"
        )
    if found:
        _logger.warning("the processor does the work: %s", hindrance)
    return "cpu"


def core_count(threads: int) -> int:
    """The number of threads to use; 0 stands for the cores that this process may use."""
    if threads:
        return threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cuda_hindrance() -> str | None:
    """Why torch cannot work on a GPU here; None where it can."""
    # Loading torch to learn that there is no GPU costs seconds; a missing driver says so at once.
    if not any(_loads(name) for name in _DRIVERS):
        return "there is no GPU here"
    import torch

    if not torch.cuda.is_available():
        return "torch finds no GPU here"
    try:
        # A GPU that is full, held by another process or too old for this torch shows only so.
        torch.zeros(1, device="cuda").add(1).cpu()
    except RuntimeError as error:
        return f"the GPU cannot be used ({str(error).splitlines()[0]})"
    return None


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
