"""The decorators that make an asset of plain functions.

An asset has up to three kinds of functions, each with a key of its own: one computes the value, one
describes it for people, others check it. Nothing here knows Dagster: the graph is data, so that a
look at what is stale needs no framework.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from iip_assets.engine.context import AssetContext
from iip_assets.engine.values import Setting, Skipped

__all__ = ["Asset", "AssetContext", "Part", "asset", "asset_check", "describe"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = frozenset(
    {
        "kinds",
        "owners",
        "tags",
        "metadata",
        "op_tags",
        "retry_policy",
        "pool",
        "freshness_policy",
    }
)

NOTES = "notes"
"""The parameter by which a description or a check gets what `Noted` kept."""


@dataclass(frozen=True)
class Part:
    """One function of an asset, with all that it reads.

    Attributes:
        name: The asset's name for what computes it; `ASSET.describe` and `ASSET.CHECK` otherwise.
        function: The plain function.
        inputs: The assets that it reads, by parameter.
        settings: Keyword-only parameter to path in iip.toml.
        context: The parameter that takes the `AssetContext`, if any.
        accepts_skipped: Inputs that it wants to see even when they were skipped.
        wants_notes: Whether it takes what the asset's `Noted` kept.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[str, ...]
    settings: Mapping[str, str]
    context: str | None
    accepts_skipped: frozenset[str]
    wants_notes: bool


@dataclass(frozen=True)
class AssetCheck:
    """A promise about an asset. Where `blocking`, nothing below runs while it is broken."""

    name: str
    description: str
    blocking: bool
    part: Part


@dataclass(frozen=True)
class Asset(Generic[P, R]):
    """An asset: the function that computes it, what it reads, and how people find it.

    Attributes:
        name: Its name in the graph, the function's.
        function: The plain function.
        compute: The function with all that it reads.
        room: The room, which is its Dagster group.
        description: The function's docstring, shown in the UI.
        options: What Dagster's own decorator takes besides, such as `kinds` or `retry_policy`.
        describing: What describes it for people; `describe` puts one part in.
        checks: What it promises; `asset_check` puts them in.
    """

    name: str
    function: Callable[P, R]
    compute: Part
    room: str
    description: str
    options: Mapping[str, Any] = field(default_factory=dict)
    describing: list[Part] = field(default_factory=list)
    checks: list[AssetCheck] = field(default_factory=list)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The assets and sources that it reads."""
        return self.compute.inputs

    @property
    def blocking(self) -> frozenset[str]:
        """Names of the checks that stop what lies below."""
        return frozenset(check.name for check in self.checks if check.blocking)

    @property
    def blocking_parts(self) -> frozenset[str]:
        """Names of the parts behind the checks that stop what lies below."""
        return frozenset(check.part.name for check in self.checks if check.blocking)

    @property
    def parts(self) -> tuple[Part, ...]:
        """What describes and checks the value."""
        return (*self.describing, *(check.part for check in self.checks))


def asset(*, room: str, **options: Any) -> Callable[[Callable[P, R]], Asset[P, R]]:
    """Makes an asset of a function whose signature says all that it reads.

    Positional parameters are input assets, by name. Keyword-only parameters are settings, annotated
    with `Setting`, or the `AssetContext`. An input whose annotation mentions `Skipped` is handed
    over even when it was skipped; otherwise a skipped input skips the asset. The function returns
    the value, or `Noted` around it.

    Args:
        room: The room, which is its Dagster group.
        options: How it is found and run: `kinds`, `owners`, `tags`, `metadata`, `op_tags`,
            `retry_policy`, `pool`, `freshness_policy`; Dagster gets them as they are.

    Raises:
        TypeError: A keyword-only parameter is neither a setting nor the `AssetContext`, or an
            option is none of these.
    """
    if unknown := options.keys() - _OPTIONS:
        raise TypeError(f"@asset takes no {sorted(unknown)[0]!r}; it takes {sorted(_OPTIONS)}")

    def make(function: Callable[P, R]) -> Asset[P, R]:
        return Asset(
            name=function.__name__,
            function=function,
            compute=_part(function.__name__, function),
            room=room,
            description=inspect.getdoc(function) or "",
            options=options,
        )

    return make


def describe(asset: Asset[..., Any]) -> Callable[[F], F]:
    """Makes a function the one that describes an asset's stored value for people.

    Its first parameter takes the value and bears the asset's name; further ones take inputs of the
    asset, and `notes` what its `Noted` kept. It returns metadata by name. It runs again alone where
    its own code or settings change, and is not called of a skipped value.

    Raises:
        TypeError: A parameter is none of these.
    """

    def keep(function: F) -> F:
        asset.describing[:] = [_part_of(asset, f"{asset.name}.describe", function)]
        return function

    return keep


def asset_check(
    asset: Asset[..., Any], *, name: str = "", blocking: bool = False
) -> Callable[[F], F]:
    """Makes a function a check of an asset's stored value, described as the function is.

    The check is called `name`, or as the function is. Its parameters are those of `describe`; it
    returns a `CheckResult`. Where `blocking`, nothing below the asset runs while the check fails
    with the severity `error`.

    Raises:
        TypeError: A parameter is none of these.
    """

    def keep(function: F) -> F:
        called, text = name or function.__name__, inspect.getdoc(function) or ""
        part = _part_of(asset, f"{asset.name}.{called}", function)
        asset.checks.append(AssetCheck(called, text, blocking, part))
        return function

    return keep


def _part_of(asset: Asset[..., Any], name: str, function: Callable[..., Any]) -> Part:
    part = _part(name, function)
    if part.inputs[:1] != (asset.name,) or set(part.inputs[1:]) - set(asset.inputs):
        raise TypeError(
            f"{function.__module__}.{function.__name__}: the first parameter must be called "
            f"{asset.name!r}, the others after inputs of that asset: {', '.join(asset.inputs)}"
        )
    return part


def _part(name: str, function: Callable[..., Any]) -> Part:
    inputs: list[str] = []
    settings: dict[str, str] = {}
    context: str | None = None
    accepts: set[str] = set()
    annotations = get_type_hints(function, localns=_Known(function), include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        annotation = annotations.get(parameter.name)
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            inputs.append(parameter.name)
            if Skipped in get_args(annotation):
                accepts.add(parameter.name)
        elif annotation is AssetContext:
            context = parameter.name
        else:
            settings[parameter.name] = _setting_of(function, parameter.name, annotation).path
    return Part(
        name,
        function,
        tuple(one for one in inputs if one != NOTES),
        settings,
        context,
        frozenset(accepts),
        wants_notes=NOTES in inputs,
    )


def _setting_of(function: Callable[..., Any], name: str, annotation: Any) -> Setting:
    """The mark in a `Annotated[type, Setting(path)]`."""
    if get_origin(annotation) is Annotated:
        for mark in get_args(annotation)[1:]:
            if isinstance(mark, Setting):
                return mark
    raise TypeError(
        f"{function.__module__}.{function.__name__}: the keyword-only parameter {name!r} must be "
        "annotated as Annotated[type, Setting('path.in.iip_toml')] or as AssetContext"
    )


class _NotLoadedType(type):
    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _NotLoaded


class _NotLoaded(metaclass=_NotLoadedType):
    """Stands for what is imported for the type checker alone, such as polars."""


class _Known(dict[str, Any]):
    """What the annotations of a function may name."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__({**vars(builtins), **inspect.unwrap(function).__globals__})

    def __missing__(self, name: str) -> Any:
        return _NotLoaded
