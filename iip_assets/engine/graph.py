"""The graph as data: assets, the sources that they begin with, and who reads whom."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.asset import Asset
from iip_assets.errors import no_such

if TYPE_CHECKING:
    import polars as pl

# The text of one of the workspace's files at a git revision, by its path.
TextOf = Callable[[str], str]


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

    def no_such_asset(self, name: str) -> str:
        """Why a name is that of no asset."""
        if name in self.sources:
            return f"{name} is a source, which is observed and not computed: `iip show {name}`"
        return no_such("asset", name, self.assets)

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
