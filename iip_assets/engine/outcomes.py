"""What came of performing an asset: its value's record, and what describes and checks it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iip_assets.engine.actions import ActionRecord, PartRecord, check_to_json, metadata_to_json
from iip_assets.engine.asset import Asset
from iip_assets.engine.project import Materialized
from iip_assets.engine.values import CheckResult


@dataclass(frozen=True)
class Outcome:
    """What came of performing an asset.

    Attributes:
        record: How its value was computed.
        reused: Whether that was there already.
        seconds: How long it took.
        same: Where it was done again: whether it gave what was recorded before.
        parts: What describes and checks it, by part.
        parts_made: The parts that were not there already.
    """

    record: ActionRecord
    reused: bool
    seconds: float
    same: bool | None = None
    parts: Mapping[str, PartRecord] = field(default_factory=dict)
    parts_made: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """What came of the value, in a word."""
        if self.reused:
            return "reused"
        return "computed" if self.record.skipped is None else "skipped"

    @property
    def materialized(self) -> Materialized:
        """What an event log says of it."""
        keys = {name: part.action_key for name, part in self.parts.items()}
        return Materialized(self.record.data_version, self.record.action_key, keys)


def broken_blocking_checks(asset: Asset[..., Any], parts: Iterable[PartRecord]) -> list[str]:
    """Names of the blocking checks of an asset that failed, from the records of its parts."""
    return [
        str(part.result["name"])
        for part in parts
        if part.asset in asset.blocking_parts
        and part.result["passed"] is False
        and part.result["severity"] == "error"
    ]


def check_results(asset: Asset[..., Any], parts: Mapping[str, PartRecord]) -> list[dict[str, Any]]:
    """A result for each check of an asset, as JSON; a skipped value was not looked at.

    Args:
        asset: The asset.
        parts: The records of its parts; none where it was skipped.
    """
    nothing = CheckResult(passed=None, description=f"not looked at: {asset.name} was skipped")
    return [
        dict(parts[check.part.name].result)
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
    found = [parts[part.name].result for part in asset.describing if part.name in parts]
    return {name: value for one in found for name, value in one.items()}


def images_of(outcomes: Mapping[str, Outcome]) -> dict[str, dict[str, int]]:
    """Images computed and images reused by each performed asset that works image by image."""
    counts = {}
    for name, outcome in outcomes.items():
        computed, reused = outcome.record.images_computed, outcome.record.images_reused
        if computed + reused:
            new = 0 if outcome.reused else computed
            counts[name] = {"computed": new, "reused": computed + reused - new}
    return counts
