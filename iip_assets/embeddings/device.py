"""Which device the work is done on."""

from __future__ import annotations

import ctypes
import os
from typing import Literal

Device = Literal["cpu", "cuda"]

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")


def resolve_device(wanted: Literal["auto", "cpu", "cuda"]) -> Device:
    """The device that is meant: `auto` is the GPU where there is one.

    Raises:
        RuntimeError: A GPU was asked for by name and there is none.
    """
    if wanted == "cpu":
        return "cpu"
    if _has_cuda():
        return "cuda"
    if wanted == "cuda":
        raise RuntimeError(
            "compute.device is 'cuda', but torch finds no GPU here; set it to 'auto' or 'cpu'"
        )
    return "cpu"


def core_count(threads: int) -> int:
    """The number of threads to use; 0 stands for the cores that this process may use."""
    if threads:
        return threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _has_cuda() -> bool:
    # Loading torch to learn that there is no GPU costs seconds; a missing driver says so at once.
    if not any(_loads(name) for name in _DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True
