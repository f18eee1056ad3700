"""What the records of descriptions and checks say, put together for an asset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iip_assets.engine.actions import ActionRecord, PartRecord, check_to_json, metadata_to_json
from iip_assets.engine.asset import Asset
from iip_assets.engine.values import CheckResult


def broken_blocking_checks(asset: Asset[..., Any], parts: Iterable[PartRecord]) -> list[str]:
    """Names of the blocking checks of an asset that failed, from the records of its parts."""
    return [
        str(part.told["name"])
        for part in parts
        if part.asset in asset.blocking_parts
        and not part.told["passed"]
        and part.told["severity"] == "error"
    ]


def check_results(asset: Asset[..., Any], parts: Mapping[str, PartRecord]) -> list[dict[str, Any]]:
    """A result for each check of an asset, as JSON; of a skipped value there is nothing to judge.

    Args:
        asset: The asset.
        parts: The records of its parts; none where it was skipped.
    """
    nothing = CheckResult(passed=True, description="nothing to judge: skipped")
    return [
        dict(parts[check.part.name].told)
        if check.part.name in parts
        else check_to_json(check.name, nothing)
        for check in asset.checks
    ]


def description(
    asset: Asset[..., Any], record: ActionRecord, parts: Mapping[str, PartRecord]
) -> dict[str, Any]:
    """An asset's metadata for people as JSON (`metadata_to_json`); why it was skipped, if so."""
    if record.skipped is not None:
        return metadata_to_json({"skipped": record.skipped})
    found = [parts[part.name].told for part in asset.describing if part.name in parts]
    return {name: value for told in found for name, value in told.items()}
