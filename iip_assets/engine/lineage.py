"""What a recorded action was made of, back to the sources, and what was made of it."""

from __future__ import annotations

from collections.abc import Iterator

from iip_assets.engine.actions import ActionRecord, RecordLog
from iip_assets.engine.project import is_reader


class Records:
    """The action log, read once."""

    def __init__(self, log: RecordLog[ActionRecord]) -> None:
        self._log = log
        self._read: dict[str, list[ActionRecord]] = {}

    def of(self, asset: str) -> list[ActionRecord]:
        """All records of an asset, the newest last."""
        if asset not in self._read:
            found = self._log.all(asset)
            self._read[asset] = sorted(found, key=lambda one: (one.made_at, one.action_key))
        return self._read[asset]

    def with_version(self, asset: str, data_version: str) -> ActionRecord | None:
        """The newest action that gave the asset this value; equal values are one."""
        found = [one for one in self.of(asset) if one.data_version == data_version]
        return found[-1] if found else None

    def beginning_with(self, prefix: str) -> list[ActionRecord]:
        """For each value whose data version begins so, the newest action that gave it."""
        return [
            found
            for asset in self._log.names()
            for version in dict.fromkeys(one.data_version for one in self.of(asset))
            if version.startswith(prefix) and (found := self.with_version(asset, version))
        ]

    def lineage(self, record: ActionRecord) -> dict[str, ActionRecord]:
        """The record and those of all that it was made of, each after what it was made of itself.

        Where an asset stands in it with two values, the one nearest to the record is kept. What
        has no record any more is left out.
        """
        found = {record.asset: record}
        waiting = [record]
        while waiting:
            one = waiting.pop(0)
            for name, version in data_inputs(one):
                above = None if name in found else self.with_version(name, version)
                if above is not None:
                    found[name] = above
                    waiting.append(above)
        return _sorted_by_inputs(found)

    def readers(self, asset: str, record: ActionRecord) -> Iterator[ActionRecord]:
        """Records of another asset that read this very value."""
        for one in self.of(asset):
            if one.inputs.get(record.asset) == record.data_version:
                yield one


def data_inputs(record: ActionRecord) -> list[tuple[str, str]]:
    """The inputs of a record that are data, each with its version."""
    return [(name, version) for name, version in record.inputs.items() if not is_reader(name)]


def _sorted_by_inputs(found: dict[str, ActionRecord]) -> dict[str, ActionRecord]:
    ordered: dict[str, ActionRecord] = {}

    def add(name: str) -> None:
        if name in ordered or name not in found or name in adding:
            return
        adding.add(name)
        for above, _ in data_inputs(found[name]):
            add(above)
        ordered[name] = found[name]

    adding: set[str] = set()
    for name in found:
        add(name)
    return ordered
