"""Why an asset is as it is: the chain of reasons down to what a person can fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.history import Records
from iip_assets.engine.project import EventLog, Project
from iip_assets.engine.reasons import Reason, differences, in_words
from iip_assets.engine.staleness import NEVER, State, moved_itself


@dataclass(frozen=True)
class Cause:
    """Something at the root of it that a person did or can fix.

    Attributes:
        asset: Where it bears first.
        reason: What it is, in words.
        details: More of it, such as which batches changed.
        held: Assets that wait for it, this one among them.
        freed: Those of them that wait for nothing else.
    """

    asset: str
    reason: str
    details: tuple[str, ...]
    held: int
    freed: int


@dataclass(frozen=True)
class Link:
    """One asset of the chain.

    Attributes:
        asset: Its name.
        state: How it stands.
        reasons: Its own causes in words.
        above: The assets above through which it is stale; each stands once, where it is met first.
    """

    asset: str
    state: str
    reasons: tuple[str, ...]
    above: tuple[Link, ...]

    def as_json(self) -> dict[str, Any]:
        """The chain as `iip status --why --json` prints it."""
        return {
            "asset": self.asset,
            "state": self.state,
            "reasons": list(self.reasons),
            "above": [one.as_json() for one in self.above],
        }


@dataclass(frozen=True)
class Explanation:
    """The chain from one asset, and the causes at its ends, the heaviest first."""

    chain: Link
    causes: tuple[Cause, ...]

    def as_json(self) -> dict[str, Any]:
        """The explanation as `iip status --why --json` prints it."""
        return {**self.chain.as_json(), "causes": [vars(one) for one in self.causes]}


def explain(
    project: Project, events: EventLog, states: Mapping[str, State], name: str
) -> Explanation:
    """Why an asset is not fresh.

    Args:
        project: The project.
        events: Who materialized what; sources as just observed.
        states: How every asset stands.
        name: The asset.
    """
    finder = _Finder(project, events, states)
    roots = {one: finder.roots_of(one) for one in states}
    causes = []
    for root in roots[name]:
        holding = [one for one, found in roots.items() if root in found]
        alone = sum(len(roots[one]) == 1 for one in holding)
        details = tuple(finder.details.get(root, ()))
        causes.append(Cause(root[0] or holding[0], str(root[1]), details, len(holding), alone))
    causes.sort(key=lambda cause: (-cause.freed, -cause.held))
    return Explanation(finder.chain(name, set()), tuple(causes))


# An asset and a reason; no asset where one fix serves every asset with that reason.
_Root = tuple[str, Reason]


def _root(name: str, reason: Reason) -> _Root:
    return ("" if reason.shared else name), reason


@dataclass
class _Finder:
    project: Project
    events: EventLog
    states: Mapping[str, State]
    details: dict[_Root, Sequence[str]] = field(default_factory=dict)
    _own: dict[str, tuple[Reason, ...]] = field(default_factory=dict)
    _roots: dict[str, dict[_Root, None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.records = Records(self.project.workspace.actions)

    def chain(self, name: str, visited: set[str]) -> Link:
        """The chain from an asset upwards."""
        visited.add(name)
        above = [self.chain(one, visited) for one in self._above(name) if one not in visited]
        words = tuple(map(str, self._reasons(name)))
        return Link(name, self.states[name].state, words, tuple(above))

    def roots_of(self, name: str) -> dict[_Root, None]:
        """The causes at the ends of an asset's chain, each once."""
        if name not in self._roots:
            found: dict[_Root, None] = {}
            for one in self._above(name):
                found |= self.roots_of(one)
            found |= {_root(name, reason): None for reason in self._reasons(name)}
            self._roots[name] = found
        return self._roots[name]

    def _above(self, name: str) -> list[str]:
        """Inputs whose value is due or blocked."""
        if self.states[name].state == "fresh" or self.states[name].parts:
            return []
        inputs = self.project.graph.assets[name].inputs
        above = [one for one in inputs if one in self.states]
        return [
            one
            for one in above
            if self.states[one].value_due or self.states[one].state == "blocked"
        ]

    def _reasons(self, name: str) -> tuple[Reason, ...]:
        """What is wrong with the asset itself, however what lies above it stands."""
        if name not in self._own:
            self._own[name] = tuple(self._find_reasons(name))
        return self._own[name]

    def _find_reasons(self, name: str) -> list[Reason]:
        asset, state = self.project.graph.assets[name], self.states[name]
        if state.state == "fresh":
            return []
        if state.parts:
            return list(state.reasons)
        record = self.project.record(name, self.events)
        if not self._above(name):
            reasons = [] if state.state == "stale" and record else list(state.reasons)
        elif record is None and self.events.materialized(name) is None:
            reasons = [NEVER]
        else:
            reasons = []
        if record is not None:
            reasons += moved_itself(self.project, asset, record)
            for one, version in record.inputs.items():
                reasons += self._input_reasons(name, one, version)
        if not reasons and not self._above(name):
            reasons = list(state.reasons)
        return list(dict.fromkeys(reasons))

    def _input_reasons(self, name: str, one: str, version: str) -> list[Reason]:
        """Why an input that stands is another than the recorded one, down to its own causes."""
        source = self.project.graph.sources.get(one)
        if source is not None:
            present = self.events.observed(one) or ""
            if present == version:
                return []
            text = f"input {one} changed: {_short(version)} → {_short(present)}"
            reason = Reason("input", text, one)
            if source.describe_change:
                root = self.project.workspace.root
                self.details[_root(name, reason)] = source.describe_change(root, version, present)
            return [reason]
        if one not in self.states or self.states[one].value_due:
            return []
        latest = self.project.record(one, self.events)
        if latest is None or latest.data_version == version:
            return []
        # It was brought up to date and what reads it was not; what it was made of then explains it.
        before = self.records.with_version(one, version)
        reason = Reason("input", f"input {one} was made again", one)
        self.details[_root(name, reason)] = self._since(before, latest) if before else ()
        return [reason]

    def _since(self, before: ActionRecord, latest: ActionRecord) -> list[str]:
        """What moved between two records of one asset, in words, down to the sources."""
        found: list[str] = []
        asset = self.project.graph.assets[latest.asset]
        action = self.project.action(asset, lambda name: latest.inputs.get(name, ""))
        found += [f"{latest.asset}: {one}" for one in in_words(differences(before, action))]
        for name, version in latest.inputs.items():
            past = before.inputs.get(name)
            source = self.project.graph.sources.get(name)
            if past is None or past == version:
                continue
            if source and source.describe_change:
                found += source.describe_change(self.project.workspace.root, past, version)
            elif name in self.project.graph.assets:
                older, newer = (self.records.with_version(name, one) for one in (past, version))
                found += self._since(older, newer) if older and newer else []
        return list(dict.fromkeys(found))


def _short(version: str) -> str:
    text = " ".join(version.split())
    return text[:12] or "nothing"
