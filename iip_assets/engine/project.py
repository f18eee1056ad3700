"""A project: a graph, the workspace it runs in, and the code it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

from iip_assets.engine.actions import Action, ActionRecord, PartRecord
from iip_assets.engine.asset import Asset, Part
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.graph import Graph
from iip_assets.engine.workspace import Workspace, keyed_settings

# Ends the name of an input that is no data: the code which reads a source.
_READER = " (reader)"
# Likewise of what an asset noted beside its value.
_NOTES = " (notes)"


def is_reader(name: str) -> bool:
    """Whether a recorded input is the code that reads a source, and no data."""
    return name.endswith(_READER)


@dataclass(frozen=True)
class Materialized:
    """An asset's latest materialization: what it holds, and the actions that gave it.

    Attributes:
        data_version: Of the value.
        action_key: Of what computed it.
        parts: Of what described and checked it, by the names of the parts.
    """

    data_version: str
    action_key: str
    parts: Mapping[str, str] = field(default_factory=dict)


class EventLog(Protocol):
    """Who materialized what: Dagster's event log, or what was read from it."""

    def materialized(self, asset: str) -> Materialized | None:
        """The asset's latest materialization."""
        ...

    def observed(self, source: str) -> str | None:
        """The source's data version when it was observed last."""
        ...

    def observe(self, source: str, data_version: str) -> None:
        """Records what a source holds now."""
        ...


@dataclass(frozen=True)
class Project:
    """What is computed, where, and by which code.

    Attributes:
        graph: The assets and sources.
        workspace: Where.
        code_keys: Of the package's functions.
        meanings: For people, by asset: the meaning of each column, which stands after its table's
            name where there are several. A `*` in a column's name stands for anything.
        owners: Whom to ask about a room's assets, as Dagster names owners.
    """

    graph: Graph
    workspace: Workspace
    code_keys: CodeKeys
    meanings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)

    def meaning(self, asset: str, column: str) -> str | None:
        """What a column of an asset's table says, if that is known."""
        known = self.meanings.get(asset, {})
        return next((text for name, text in known.items() if fnmatchcase(column, name)), None)

    def action(self, asset: Asset[..., Any], version_of: Callable[[str], str]) -> Action:
        """What computing the asset would do now.

        Args:
            asset: The asset.
            version_of: The present data version of an input.
        """
        return self._action(asset.compute, {name: version_of(name) for name in asset.inputs})

    def part_action(self, part: Part, record: ActionRecord) -> Action:
        """What describing or checking a value would do now.

        Args:
            part: The description or check.
            record: How the value was computed.
        """
        versions = {**record.inputs, record.asset: record.data_version}
        inputs = {name: versions[name] for name in part.inputs}
        if part.wants_notes:
            inputs[f"{record.asset}{_NOTES}"] = record.notes.content_hash if record.notes else ""
        return self._action(part, inputs)

    def part_actions(
        self, asset: Asset[..., Any], record: ActionRecord
    ) -> Iterator[tuple[Part, Action]]:
        """The description and the checks of a value; a skipped one has none."""
        if record.skipped is None:
            for part in asset.parts:
                yield part, self.part_action(part, record)

    def keys(self, asset: Asset[..., Any], version_of: Callable[[str], str]) -> list[str]:
        """What computing, describing and checking the asset would be of now, as hashes."""
        parts = [self._action(part, {}).key for part in asset.parts]
        return [self.action(asset, version_of).key, *parts]

    def _action(self, part: Part, inputs: dict[str, str]) -> Action:
        settings = self.workspace.read_settings(self.workspace.root)
        return Action(
            part.name,
            self.code_keys.of(part.function),
            keyed_settings(settings, part.settings.values()),
            # A source has no action of its own, so the code that reads it counts here.
            inputs | self._reader_keys(part),
        )

    def _reader_keys(self, part: Part) -> dict[str, str]:
        """The code keys of what loads the sources among the inputs of a part."""
        return {
            f"{name}{_READER}": self.code_keys.of(self.graph.sources[name].load).key
            for name in part.inputs
            if name in self.graph.sources
        }

    def code_of(self, asset: Asset[..., Any]) -> dict[str, str]:
        """All code that makes the asset, as it is on disk now: two such are equal or not."""
        found: dict[str, str] = {}
        for part in (asset.compute, *asset.parts):
            found |= {part.name: self.code_keys.of(part.function).key, **self._reader_keys(part)}
        return found

    def record(self, asset: str, events: EventLog) -> ActionRecord | None:
        """The record behind the asset's latest materialization, if it is still of that value.

        An action that was done again (its artifact was gone) may have given another value, whose
        materialization a kill prevented; then the one in the event log has no record any more.
        """
        latest = events.materialized(asset)
        record = self.workspace.actions.find(asset, latest.action_key) if latest else None
        same = record is not None and latest and record.data_version == latest.data_version
        return record if same else None

    def parts(self, asset: str, events: EventLog) -> dict[str, PartRecord]:
        """The records of what describes and checks an asset's latest materialization, by part."""
        latest = events.materialized(asset)
        found = {
            name: self.workspace.parts.find(name, key)
            for name, key in (latest.parts if latest else {}).items()
        }
        return {name: record for name, record in found.items() if record is not None}

    def load(self, name: str, events: EventLog) -> Any:
        """The present value of an asset or source.

        Raises:
            LookupError: It has none.
        """
        if name in self.graph.sources:
            version = events.observed(name)
            if version is None:
                raise LookupError(f"{name} was never observed; run `iip refresh`")
            return self.graph.sources[name].load(self.workspace.root, version)
        record = self.record(name, events)
        if record is None:
            raise LookupError(f"{name} has no value yet; run `iip refresh {name}`")
        return self.workspace.artifacts.get(record.artifact)
