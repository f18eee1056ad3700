"""Batch normalization over the images of all processes, on any device.

PyTorch's own works on GPUs alone, and its conversion takes from timm's layers the activation that
they hold. Here the function that all such layers call is replaced while a training step runs, so
that several processes normalise as one would.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from iip_assets.training.processes import total


def shared_norm() -> AbstractContextManager[Any]:
    """Batch statistics inside are those of all processes; in one process nothing changes."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return _SharedNorm()
    return nullcontext()


class _SharedNorm(TorchFunctionMode):
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
