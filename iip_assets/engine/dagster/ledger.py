"""The ledger in Dagster's event log."""

from __future__ import annotations

from typing import Any

import dagster as dg

from iip_assets.engine.project import Materialized

_DATA_VERSION_TAG = "dagster/data_version"


class DagsterLedger:
    """Who materialized what, from the event log; each asset is asked for once until it changes."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def materialized(self, asset: str) -> Materialized | None:
        """The asset's latest materialization by this project (others carry no action key)."""
        found = self._instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
        if not found or found[0].asset_materialization is None:
            return None
        event = found[0].asset_materialization
        key = event.metadata.get("action_key")
        parts: Any = event.metadata.get("part_keys")
        version = (event.tags or {}).get(_DATA_VERSION_TAG, "")
        return Materialized(
            version, str(key.value) if key else "", dict(parts.value) if parts else {}
        )

    def observed(self, source: str) -> str | None:
        """The source's data version when it was observed last."""
        found = self._instance.fetch_observations(dg.AssetKey(source), limit=1).records
        if not found or found[0].asset_observation is None:
            return None
        return found[0].asset_observation.data_version

    def observe(self, source: str, data_version: str) -> None:
        """Records what a source holds now."""
        self._instance.report_runless_asset_event(
            dg.AssetObservation(source, tags={_DATA_VERSION_TAG: data_version})
        )
