"""A project: a graph, the workspace it runs in, and the code it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from iip_assets.engine.actions import Action, ActionRecord
from iip_assets.engine.asset import Asset, Graph
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.workspace import Workspace, setting_json, setting_value


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
        for name in self.graph.sources.keys() & set(asset.inputs):
            # A source has no action of its own, so the code that reads it counts here.
            inputs[f"{name} (reader)"] = self.code_keys.of(self.graph.sources[name].load).key
        return Action(asset.name, self.code_keys.of(asset.function), values, inputs)

    def record(self, asset: str, ledger: Ledger) -> ActionRecord | None:
        """The record behind the asset's latest materialization."""
        latest = ledger.materialized(asset)
        return self.workspace.actions.find(asset, latest.action_key) if latest else None

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


def package_folder(package_file: str) -> Path:
    """The folder of the package whose `__file__` this is."""
    return Path(package_file).resolve().parent
