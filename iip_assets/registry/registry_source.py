"""The registry as the graph sees it: data that people change, by `iip models`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from iip_assets.registry.registry_state import RegistryState, read_registry


def observe_registry(root: Path) -> str:
    """Changes with every version that is registered and with every alias that is moved."""
    state = read_registry(root)
    told = [(one.model, one.number, one.digest, one.aliases) for one in state.versions]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def load_registry(root: Path, data_version: str) -> RegistryState:
    """The versions as they are now.

    Raises:
        LookupError: They are not what they were when the registry was looked at.
    """
    if observe_registry(root) != data_version:
        raise LookupError("the registry changed meanwhile; run `iip refresh` again")
    return read_registry(root)


def registered_actions(root: Path) -> list[tuple[str, str]]:
    """Asset and key of the actions that made registered versions: their lineage is kept."""
    return [
        (str(one.facts["asset"]), str(one.facts["action_key"]))
        for one in read_registry(root).versions
        if {"asset", "action_key"} <= one.facts.keys()
    ]
