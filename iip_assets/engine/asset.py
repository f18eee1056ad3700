"""The decorator that makes an asset of a plain function, and what such a function can ask for.

Nothing here knows Dagster: the graph is data, so that a look at what is stale needs no framework.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, ParamSpec, TypeVar, get_args, get_origin

from iip_assets.engine.values import CheckSpec, Setting
from iip_assets.engine.work import Work

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Asset", "Graph", "Source", "Work", "asset"]

P = ParamSpec("P")
R = TypeVar("R")

# The text of one of the workspace's files at a git revision, by its path.
TextOf = Callable[[str], str]


@dataclass(frozen=True)
class Asset(Generic[P, R]):
    """An asset: a function, what it reads, and how people find it.

    Attributes:
        name: Its name in the graph, the function's.
        function: The plain function.
        room: The room, which is its Dagster group.
        description: The function's docstring, shown in the UI.
        inputs: The assets that it reads, by parameter.
        settings: Keyword-only parameter to path in iip.toml.
        unkeyed: Likewise, of settings that cannot change the result and rerun nothing.
        work: The parameter that takes the `Work`, if any.
        accepts_skipped: Inputs that it wants to see even when they were skipped.
        checks: What it promises.
        kinds: The tools behind it, shown as icons.
        owners: Who answers for it.
        tags: Free words.
    """

    name: str
    function: Callable[P, R]
    room: str
    description: str
    inputs: tuple[str, ...]
    settings: Mapping[str, str]
    unkeyed: Mapping[str, str]
    work: str | None
    accepts_skipped: frozenset[str]
    checks: tuple[CheckSpec, ...]
    kinds: frozenset[str]
    owners: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def blocking(self) -> frozenset[str]:
        """Names of the checks that stop what lies below."""
        return frozenset(check.name for check in self.checks if check.blocking)


@dataclass(frozen=True)
class Source:
    """Data that is made outside the graph and observed by it.

    Attributes:
        name: Its name in the graph.
        room: The room, which is its Dagster group.
        description: Shown in the UI.
        observe: Gives the present data version; it must be cheap, since every look at the graph
            calls it.
        load: Gives the value of a data version.
        kinds: The tools behind it.
        version_at: Gives the data version at a git revision, from a function that gives the text of
            the workspace's files there by their paths; None where it is not kept in git.
        actions: Gives the actions, by asset and key, whose records and artifacts it needs.
        ids: Gives all ids of items that a data version holds, None where it is nowhere any more.
            What was computed of an item that no version holds which is needed can be deleted.
        rows: Gives the items of a data version as feature tables name them, a column for each
            identity, all words; None where it is nowhere any more.
        describe_change: Says in words in what two data versions differ.
    """

    name: str
    room: str
    description: str
    observe: Callable[[Path], str]
    load: Callable[[Path, str], Any]
    kinds: frozenset[str] = frozenset()
    version_at: Callable[[TextOf], str] | None = None
    actions: Callable[[Path], Collection[tuple[str, str]]] | None = None
    ids: Callable[[Path, str], Collection[str] | None] | None = None
    rows: Callable[[Path, str], pl.DataFrame | None] | None = None
    describe_change: Callable[[Path, str, str], Sequence[str]] | None = None


def asset(
    *,
    room: str,
    checks: Sequence[CheckSpec] = (),
    kinds: Collection[str] = (),
    owners: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Asset[P, R]]:
    """Makes an asset of a function whose signature says all that it reads.

    Positional parameters are input assets, by name. Keyword-only parameters are settings, annotated
    with `Setting`, or the `Work`. An input whose annotation mentions `Skipped` is handed over even
    when it was skipped; otherwise a skipped input skips the asset.

    Raises:
        TypeError: A keyword-only parameter is neither a setting nor the `Work`.
    """

    def make(function: Callable[P, R]) -> Asset[P, R]:
        inputs, settings, unkeyed, work, accepts = _read_signature(function)
        return Asset(
            name=function.__name__,
            function=function,
            room=room,
            description=inspect.getdoc(function) or "",
            inputs=inputs,
            settings=settings,
            unkeyed=unkeyed,
            work=work,
            accepts_skipped=accepts,
            checks=tuple(checks),
            kinds=frozenset(kinds),
            owners=tuple(owners),
            tags=dict(tags or {}),
        )

    return make


def _read_signature(
    function: Callable[..., Any],
) -> tuple[tuple[str, ...], dict[str, str], dict[str, str], str | None, frozenset[str]]:
    """Inputs, settings (keyed, not keyed), the parameter for the `Work`, what may be skipped."""
    inputs: list[str] = []
    settings: dict[str, str] = {}
    unkeyed: dict[str, str] = {}
    work: str | None = None
    accepts: set[str] = set()
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = str(parameter.annotation)
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            inputs.append(name)
            if "Skipped" in annotation:
                accepts.add(name)
        elif annotation == "Work" or annotation.endswith(".Work'>"):
            work = name
        else:
            setting = _setting_of(function, name, parameter.annotation)
            (settings if setting.keyed else unkeyed)[name] = setting.path
    return tuple(inputs), settings, unkeyed, work, frozenset(accepts)


def _setting_of(function: Callable[..., Any], name: str, annotation: Any) -> Setting:
    """The mark in a `Annotated[type, Setting(path)]`, which may still be text."""
    if isinstance(annotation, str):
        # Only this one is evaluated: annotations of inputs may name libraries that are not loaded.
        annotation = eval(annotation, dict(function.__globals__))  # noqa: S307 - the package's own source
    if get_origin(annotation) is Annotated:
        for mark in get_args(annotation)[1:]:
            if isinstance(mark, Setting):
                return mark
    raise TypeError(
        f"{function.__module__}.{function.__name__}: the keyword-only parameter {name!r} must be "
        "annotated as Annotated[type, Setting('path.in.iip_toml')] or as Work"
    )


class Graph:
    """Assets and sources, in the order of the data."""

    def __init__(self, assets: Iterable[Asset[..., Any]], sources: Iterable[Source] = ()) -> None:
        """Checks that names are unique and inputs exist, and sorts.

        Raises:
            ValueError: Two have one name, an input is missing, or inputs run in a circle.
        """
        given = list(assets)
        self.sources = {source.name: source for source in sources}
        by_name = {one.name: one for one in given}
        if len(by_name) + len(self.sources) != len(given) + len(list(self.sources)) or (
            by_name.keys() & self.sources.keys()
        ):
            raise ValueError("two assets have the same name")
        self.assets: dict[str, Asset[..., Any]] = {}
        waiting = dict(by_name)
        while waiting:
            ready = [
                one
                for one in waiting.values()
                if all(self._known(name, by_name, one) for name in one.inputs)
            ]
            if not ready:
                raise ValueError(f"the inputs of {sorted(waiting)} run in a circle")
            for one in ready:
                self.assets[one.name] = waiting.pop(one.name)

    def _known(
        self, name: str, by_name: Mapping[str, Asset[..., Any]], reader: Asset[..., Any]
    ) -> bool:
        if name not in by_name and name not in self.sources:
            raise ValueError(f"{reader.name} reads {name!r}, which is no asset of this graph")
        return name in self.sources or name in self.assets

    def below(self, names: Iterable[str]) -> set[str]:
        """The named ones and every asset that reads them, directly or not."""
        found = set(names)
        for one in self.assets.values():
            if found & set(one.inputs):
                found.add(one.name)
        return found

    def above(self, names: Iterable[str]) -> set[str]:
        """The named ones and every asset and source that they read, directly or not."""
        found = set(names)
        for one in reversed(self.assets.values()):
            if one.name in found:
                found |= set(one.inputs)
        return found
