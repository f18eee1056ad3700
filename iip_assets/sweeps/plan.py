"""The file that describes a sweep: which model, what may be chosen, how, and what is sought."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from iip_assets.models.tasks import TaskName
from iip_assets.settings import Settings

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

Sampler = Literal["grid", "random", "tpe", "cmaes", "nsga2"]
Objective = Literal["quality", "latency"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
EXAMPLES = {
    "filter": """\
# A sweep over the filter's settings: iip sweep run {file}
model = "filter"
sampler = "tpe"                # "grid", "random", "tpe", "cmaes" (numbers alone) or "nsga2"
trials = 12
seed = 0
objectives = ["quality"]       # F1 macro on the validation images; also "latency": ms an image

[space]                        # settings of iip.toml: a list of values, or a range
"filter.learning_rate" = {{ low = 0.0001, high = 0.01, log = true }}
"filter.weight_decay" = {{ low = 0.0001, high = 0.3, log = true }}
"filter.batch_size" = [16, 32, 64, 128]

[fixed]                        # settings of every trial
"filter.epochs" = 60
""",
    "segmenter": """\
# A sweep over the segmenter's settings: iip sweep run {file}
model = "segmenter"
sampler = "nsga2"              # "grid", "random", "tpe", "cmaes" (numbers alone) or "nsga2"
trials = 12
seed = 0
objectives = ["quality", "latency"]  # mean IoU on the validation images; ms an image

[space]                        # settings of iip.toml: a list of values, or a range
"segmenter.learning_rate" = {{ low = 0.0005, high = 0.01, log = true }}
"segmenter.encoder" = ["tf_efficientnet_lite0", "mobilenetv3_small_100", "resnet18"]  # timm's names
"segmenter.decoder_channels" = [[64, 48, 32, 24], [32, 24, 16, 16]]

[fixed]                        # settings of every trial
"segmenter.epochs" = 6
"segmenter.width" = 128
"segmenter.height" = 96
""",
}


class Range(BaseModel):
    """Numbers from `low` to `high`, both included."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    low: int | float  # the least
    high: int | float  # the greatest
    log: bool = False  # whether to draw evenly by order of magnitude
    step: int | float | None = None  # distance between two values; any value without it
    # How many values a grid takes, evenly apart (by magnitude with `log`).
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
            # As they are written: sums of 0.1 in binary pass 0.3.
            low, high, step = (Decimal(str(one)) for one in (self.low, self.high, self.step))
            values = [float(low + place * step) for place in range(int((high - low) / step) + 1)]
        elif self.points is not None:
            spaced = np.geomspace if self.log else np.linspace
            values = spaced(self.low, self.high, self.points).clip(self.low, self.high).tolist()
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


class PlanError(ValueError):
    """A sweep's file says something that no sweep can do."""


class Plan(BaseModel):
    """A sweep."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # of its file
    model: TaskName  # which model is trained
    sampler: Sampler = "tpe"  # how values are chosen
    trials: int = Field(default=12, ge=1)  # how many trainings
    seed: int = Field(default=0, ge=0)  # of the choices
    objectives: tuple[Objective, ...] = ("quality",)  # what is sought, the first being the quality
    # What may be chosen, by setting.
    space: dict[str, Range | tuple[Any, ...]] = Field(min_length=1)
    fixed: dict[str, Any] = Field(default_factory=dict)  # what every trial has, by setting

    def words(self) -> dict[str, Any]:
        """All that two runs of one sweep must have in common."""
        return self.model_dump(mode="json", exclude={"name", "trials"})


def read_plan(file: Path, settings: Settings) -> Plan:
    """The sweep that a TOML file describes, whose name without the ending is the sweep's.

    Raises:
        PlanError: It is no TOML, no sweep, or has a choice that is none under the settings.
    """
    name = file.stem
    if not _NAME.fullmatch(name):
        raise PlanError(
            f"{file.name}: a sweep is called as its file, in letters, digits, - and _; rename it"
        )
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        plan = Plan.model_validate({**content, "name": name})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{file}: no valid TOML: {error}") from None
    except ValidationError as error:
        lines = [f"  {_place(one['loc'])}: {one['msg']}" for one in error.errors()]
        raise PlanError("\n".join([f"{file} describes no sweep:", *dict.fromkeys(lines)])) from None
    try:
        _check(plan, settings)
    except ValueError as error:
        raise PlanError(f"{file}: {error}") from None
    return plan


def settings_with(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with some of them replaced, by path.

    Raises:
        ValueError: There is no such setting, or it takes no such value.
    """
    sections = settings.model_dump()
    for path, value in values.items():
        section, _, key = path.partition(".")
        if not key or key not in sections.get(section, {}):
            raise ValueError(f"there is no setting {path!r}; iip.toml lists them, as section.name")
        sections[section][key] = value
    try:
        return Settings.model_validate(sections)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{_place(first['loc'])} = {first['input']!r}: {first['msg']}") from None


def _check(plan: Plan, settings: Settings) -> None:
    if plan.objectives[:1] != ("quality",) or len(set(plan.objectives)) != len(plan.objectives):
        raise ValueError('objectives must be ["quality"] or ["quality", "latency"]')
    for path, dimension in plan.space.items():
        if path in plan.fixed:
            raise ValueError(f"{path} stands in space and in fixed; choose one")
        if not isinstance(dimension, Range) and not dimension:
            raise ValueError(f"{path} = []: name the values to choose among")
    # What is fixed may be what allows a choice, as `filter.train = "network"` does a network.
    settings_with(settings, plan.fixed)
    for path, value in corners(plan.space):
        settings_with(settings, {**plan.fixed, path: value})
    if plan.sampler == "grid":
        grid(plan.space)
    if plan.sampler == "cmaes":
        lists = [path for path, one in plan.space.items() if not isinstance(one, Range)]
        if lists:
            raise ValueError(
                f"cmaes chooses numbers from ranges, {lists[0]} is a list; use tpe or a range"
            )
        if len(plan.objectives) > 1:
            raise ValueError("cmaes has one objective; use nsga2 or tpe for two")


def _place(parts: tuple[int | str, ...]) -> str:
    """Where in the file, without the names of the types that were tried."""
    return ".".join(
        str(one)
        for one in parts
        if not (isinstance(one, str) and (one == "Range" or one.startswith("tuple[")))
    )
