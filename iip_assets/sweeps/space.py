"""What a sweep may choose: values of settings, as lists or as ranges."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, model_validator

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


class Range(BaseModel):
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: The least.
        high: The greatest.
        log: Whether to draw evenly by order of magnitude.
        step: Distance between two values; any value without it.
        points: How many values a grid takes, evenly apart (by magnitude with `log`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None
    points: int | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Range:
        if self.high <= self.low:
            raise ValueError(f"high must be above low, they are {self.high} and {self.low}")
        if self.log and self.low <= 0:
            raise ValueError(f"with log, low must be above 0, it is {self.low}")
        if self.log and self.step is not None:
            raise ValueError("step and log exclude one another")
        if self.step is not None and self.step <= 0:
            raise ValueError(f"step must be above 0, it is {self.step}")
        if self.points is not None and self.points < 2:
            raise ValueError(f"points must be 2 or more, it is {self.points}")
        return self

    @property
    def whole(self) -> bool:
        """Whether the numbers are whole."""
        return all(isinstance(one, int) for one in (self.low, self.high, self.step or 1))

    def grid(self) -> list[int | float]:
        """The values that a grid takes.

        Raises:
            ValueError: Neither `step` nor `points` says which.
        """
        if self.step is not None:
            count = int((self.high - self.low) / self.step + 1e-9) + 1
            values = [self.low + place * self.step for place in range(count)]
        elif self.points is not None:
            spaced = np.geomspace if self.log else np.linspace
            values = [float(one) for one in spaced(self.low, self.high, self.points)]
        else:
            raise ValueError("a grid needs `step` or `points` for a range")
        if self.whole:
            return sorted({round(one) for one in values})
        return values


Dimension = Range | tuple[Any, ...]
"""A range, or the values to choose among."""

Space = Mapping[str, Dimension]
"""What may be chosen, by the setting's path."""


def suggest(trial: BaseTrial, space: Space) -> dict[str, Any]:
    """The values of a trial, by setting; those that it was given before stay."""
    return {
        path: _meant(_suggested(trial, path, dimension), dimension)
        for path, dimension in space.items()
    }


def values_of(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Optuna's parameters as values of settings."""
    return {path: _meant(value, space[path]) for path, value in params.items()}


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination, as Optuna's parameters.

    Raises:
        ValueError: A range does not say which values a grid takes of it.
    """
    choices: list[Sequence[Any]] = []
    for path, dimension in space.items():
        try:
            values = dimension.grid() if isinstance(dimension, Range) else map(_kept, dimension)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        choices.append(list(values))
    return [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*choices)]


def corners(space: Space) -> list[tuple[str, Any]]:
    """Setting and value, of all that may be chosen from lists and of the ends of ranges."""
    return [
        (path, value)
        for path, dimension in space.items()
        for value in (
            (dimension.low, dimension.high) if isinstance(dimension, Range) else dimension
        )
    ]


def _suggested(trial: BaseTrial, path: str, dimension: Dimension) -> Any:
    if not isinstance(dimension, Range):
        return trial.suggest_categorical(path, [_kept(one) for one in dimension])
    log = dimension.log
    if dimension.whole:
        step = int(dimension.step or 1)
        return trial.suggest_int(path, int(dimension.low), int(dimension.high), step=step, log=log)
    return trial.suggest_float(
        path, float(dimension.low), float(dimension.high), step=dimension.step, log=log
    )


def _kept(value: Any) -> Any:
    """A value as Optuna keeps it: scalars alone, others as text."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _meant(value: Any, dimension: Dimension) -> Any:
    if isinstance(dimension, Range):
        return value
    return next(one for one in dimension if _kept(one) == value)
