"""A project: a graph, the workspace it runs in, and the code it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from iip_assets.engine.actions import Action, ActionRecord
from iip_assets.engine.asset import Asset, Graph
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.workspace import Workspace, setting_json, setting_value

# Ends the name of an input that is no data: the code which reads a source.
_READER = " (reader)"


def is_reader(name: str) -> bool:
    """Whether a recorded input is the code that reads a source, and no data."""
    return name.endswith(_READER)


@dataclass(frozen=True)
class Materialized:
    """An asset's latest materialization: what it holds, and the action that gave it."""

    data_version: str
    action_key: str


class Ledger(Protocol):
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
    """What is computed, where, and by which code."""

    graph: Graph
    workspace: Workspace
    code_keys: CodeKeys

    def action(self, asset: Asset[..., Any], version_of: Callable[[str], str]) -> Action:
        """What the asset would do now.

        Args:
            asset: The asset.
            version_of: The present data version of an input.
        """
        settings = self.workspace.read_settings(self.workspace.root)
        values = {
            path: setting_json(setting_value(settings, path)) for path in asset.settings.values()
        }
        inputs = {name: version_of(name) for name in asset.inputs}
        # A source has no action of its own, so the code that reads it counts here.
        inputs |= self.reader_keys(asset)
        return Action(asset.name, self.code_keys.of(asset.function), values, inputs)

    def reader_keys(self, asset: Asset[..., Any]) -> dict[str, str]:
        """The code keys of what loads the sources among the asset's inputs."""
        return {
            f"{name}{_READER}": self.code_keys.of(self.graph.sources[name].load).key
            for name in asset.inputs
            if name in self.graph.sources
        }

    def code_of(self, asset: Asset[..., Any]) -> tuple[str, dict[str, str]]:
        """All code that makes the asset, as it is on disk now: two such are equal or not."""
        return self.code_keys.of(asset.function).key, self.reader_keys(asset)

    def record(self, asset: str, ledger: Ledger) -> ActionRecord | None:
        """The record behind the asset's latest materialization, if it is still of that value.

        An action that was done again (its artifact was gone) may have given another value, whose
        materialization a kill prevented; then the one in the ledger has no record any more.
        """
        latest = ledger.materialized(asset)
        record = self.workspace.actions.find(asset, latest.action_key) if latest else None
        same = record is not None and latest and record.data_version == latest.data_version
        return record if same else None

    def load(self, name: str, ledger: Ledger) -> Any:
        """The present value of an asset or source.

        Raises:
            LookupError: It has none.
        """
        if name in self.graph.sources:
            version = ledger.observed(name)
            if version is None:
                raise LookupError(f"{name} was never observed; run `iip refresh`")
            return self.graph.sources[name].load(self.workspace.root, version)
        record = self.record(name, ledger)
        if record is None:
            raise LookupError(f"{name} has no value yet; run `iip refresh {name}`")
        return self.workspace.artifacts.get(record.artifact)
