"""What recorded actions were made of, and which of them belong to an older state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iip_assets.engine.actions import ActionRecord, RecordLog
from iip_assets.engine.project import Project, is_reader
from iip_assets.engine.workspace import setting_json, setting_value


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


_Records = Mapping[str, ActionRecord]


@dataclass(frozen=True)
class Point:
    """An older state, as the workspace's files told it.

    Attributes:
        sources: Source to data version.
        settings: Anything with attributes, like the workspace's own settings.
        commit: The git commit that it was read from, if it was.
    """

    sources: Mapping[str, str]
    settings: Any
    commit: str = ""


def records_at(
    project: Project, point: Point, names: Iterable[str] | None = None
) -> dict[str, ActionRecord]:
    """For every asset the record of the action that belongs to an older state.

    Settings and sources must be the point's, and inputs the values of the records that are chosen
    for them. Code may differ: one state may have been computed by several. Of those that fit, the
    one made at the point's commit is taken, then the one with the most of present code in it and
    above it, then the newest. What is chosen below says what it was made of above, so all of it
    hangs together.

    Args:
        project: The graph, and the workspace whose records are looked at.
        point: The state.
        names: Choose for these alone, and for what they were made of; where code differs, that
            can find a value which does not hang together with one of another asset.

    Returns:
        Asset to record; an asset that was never computed in this state is absent. Inputs of older
        code that are no assets any more are among them.
    """
    wanted = list(project.graph.assets if names is None else names)
    candidates = _Candidates(project, point)
    chosen: dict[str, ActionRecord] = {}
    # From below: a record names what it was made of.
    for name in reversed(wanted):
        if name in chosen:
            continue
        for record in candidates.of(name):
            found = candidates.choose({**chosen, name: record}, candidates.made_of(record))
            if found is not None:
                chosen = dict(found)
                break
    order = {name: place for place, name in enumerate(project.graph.assets)}
    return dict(sorted(chosen.items(), key=lambda item: order.get(item[0], -1)))


class _Candidates:
    """Of each asset the records that fit a point, the best first."""

    def __init__(self, project: Project, point: Point) -> None:
        self._project = project
        self._point = point
        self._found: dict[str, list[ActionRecord]] = {}
        self._lineages: dict[str, dict[str, ActionRecord]] = {}
        self._present = {
            name: project.code_keys.of(asset.function).key
            for name, asset in project.graph.assets.items()
        }

    def of(self, name: str) -> list[ActionRecord]:
        """Records with the point's settings and sources whose inputs fit the point as well.

        Of records with equal values made of equal inputs, the best stands for all.
        """
        if name not in self._found:
            self._found[name] = []  # ends the search where older inputs ran the other way
            fitting = [one for one in self._project.workspace.actions.all(name) if self._fits(one)]
            different: dict[tuple[str, frozenset[tuple[str, str]]], ActionRecord] = {}
            for record in sorted(fitting, key=self._rank, reverse=True):
                made_of = frozenset(self.made_of(record))
                different.setdefault((record.data_version, made_of), record)
            self._found[name] = list(different.values())
        return self._found[name]

    def made_of(self, record: ActionRecord) -> list[tuple[str, str]]:
        """The asset inputs of a record, each with its data version."""
        return [
            (name, version)
            for name, version in record.inputs.items()
            if name not in self._point.sources and not is_reader(name)
        ]

    def choose(self, chosen: _Records, needed: list[tuple[str, str]]) -> _Records | None:
        """What is chosen, and a record for each needed value that hangs together with it."""
        if not needed:
            return chosen
        (name, version), *rest = needed
        if name in chosen:
            same = chosen[name].data_version == version
            return self.choose(chosen, rest) if same else None
        for record in self.of(name):
            if record.data_version == version:
                found = self.choose({**chosen, name: record}, [*self.made_of(record), *rest])
                if found is not None:
                    return found
        return None

    def _fits(self, record: ActionRecord) -> bool:
        sources = self._point.sources
        return (
            all(record.inputs[name] == sources[name] for name in sources.keys() & record.inputs)
            and all(
                _same_setting(self._point.settings, path, value)
                for path, value in record.settings.items()
            )
            and all(
                any(one.data_version == version for one in self.of(name))
                for name, version in self.made_of(record)
            )
        )

    def _rank(self, record: ActionRecord) -> tuple[int, int, int, str, str]:
        """At the commit; made of what is; of the most present code; the newest."""
        lineage = self._lineage(record)
        return (
            self._at_commit(record),
            max(self._at_commit(one) for one in lineage.values()),
            sum(self._present.get(name) == one.code_key for name, one in lineage.items()),
            record.made_at,
            record.action_key,
        )

    def _at_commit(self, record: ActionRecord) -> int:
        """2 at the point's commit; 1 there with edits, which were of code; 0 elsewhere."""
        commit = self._point.commit
        places = {commit: 2, f"{commit}+": 1} if commit else {}
        return places.get(record.git_commit, 0)

    def _lineage(self, record: ActionRecord) -> dict[str, ActionRecord]:
        """The record and the best ones of all that it was made of."""
        if record.action_key not in self._lineages:
            found = {record.asset: record}
            for name, version in self.made_of(record):
                best = next(one for one in self.of(name) if one.data_version == version)
                found = {**self._lineage(best), **found}
            self._lineages[record.action_key] = found
        return self._lineages[record.action_key]


def _same_setting(settings: Any, path: str, recorded: Any) -> bool:
    """Whether the settings at the path are the recorded ones.

    What is not known there is no difference: a field that was added to a section since, or a
    setting that no longer exists.
    """
    try:
        value = setting_value(settings, path)
    except KeyError:
        return True
    present = setting_json(value)
    if hasattr(value, "model_dump") and isinstance(recorded, dict):
        known = recorded.keys() & present.keys()
        return all(recorded[name] == present[name] for name in known)
    return bool(present == recorded)
