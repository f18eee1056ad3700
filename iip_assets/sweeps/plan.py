"""The file that describes a sweep: which model, what may be chosen, how, and what is sought."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iip_assets.models.tasks import TaskName
from iip_assets.settings import Settings
from iip_assets.sweeps.space import Range, corners, grid

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


class PlanError(ValueError):
    """A sweep's file says something that no sweep can do."""


class Plan(BaseModel):
    """A sweep.

    Attributes:
        name: Of its file.
        model: Which model is trained.
        sampler: How values are chosen.
        trials: How many trainings.
        seed: Of the choices.
        objectives: What is sought, the first being the quality.
        space: What may be chosen, by setting.
        fixed: What every trial has, by setting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    model: TaskName
    sampler: Sampler = "tpe"
    trials: int = Field(default=12, ge=1)
    seed: int = Field(default=0, ge=0)
    objectives: tuple[Objective, ...] = ("quality",)
    space: dict[str, Range | tuple[Any, ...]] = Field(min_length=1)
    fixed: dict[str, Any] = Field(default_factory=dict)

    def words(self) -> dict[str, Any]:
        """All that two runs of one sweep must have in common."""
        return self.model_dump(mode="json", exclude={"name", "trials"})


def read_plan(file: Path, settings: Settings) -> Plan:
    """The sweep that a file describes.

    Args:
        file: A TOML file; its name without the ending is the sweep's.
        settings: The workspace's settings, under which every choice must be one.

    Raises:
        PlanError: It is no TOML, or describes no sweep.
    """
    name = file.stem
    if not _NAME.fullmatch(name):
        raise PlanError(
            f"{file.name}: a sweep is called as its file, in letters, digits, - and _; rename it"
        )
    try:
        told = tomllib.loads(file.read_text(encoding="utf-8"))
        plan = Plan.model_validate({**told, "name": name})
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
    told = settings.model_dump()
    for path, value in values.items():
        section, _, key = path.partition(".")
        if not key or key not in told.get(section, {}):
            raise ValueError(f"there is no setting {path!r}; iip.toml lists them, as section.name")
        told[section][key] = value
    try:
        return Settings.model_validate(told)
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
