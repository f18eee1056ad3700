"""Which assets are stale, and why, in words.

Read from recorded provenance each time, so nothing is missed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from iip_assets.engine.actions import Action, ActionRecord
from iip_assets.engine.asset import Asset
from iip_assets.engine.outcomes import broken_blocking_checks
from iip_assets.engine.project import EventLog, Materialized, Project, is_reader
from iip_assets.engine.reasons import Reason, differences, own_differences

NEVER = Reason("missing", "never materialized")

StateName = Literal["fresh", "stale", "missing", "failed", "blocked"]


@dataclass(frozen=True)
class State:
    """How an asset stands.

    Attributes:
        state: `fresh`; `stale` (something that it reads moved); `missing` (never made, or its
            artifact is gone); `failed` (the present action failed when last tried); `blocked` (a
            blocking check above failed).
        reasons: Empty when fresh.
        data_version: What it holds, if anything.
        skipped: Why it could not be made from this data, if so.
        parts: What is due of its description and checks, where the value itself stands.
    """

    state: StateName
    reasons: tuple[Reason, ...] = ()
    data_version: str | None = None
    skipped: str | None = None
    parts: tuple[str, ...] = ()

    @property
    def due(self) -> bool:
        """Whether a refresh would run it."""
        return self.state in ("stale", "missing", "failed")

    @property
    def value_due(self) -> bool:
        """Whether its value may change, and not only how that is described and judged."""
        return self.due and not self.parts


class _OneLook:
    """What an event log says, asked once for each asset: a look at the graph asks many times."""

    def __init__(self, events: EventLog) -> None:
        self.materialized = cache(events.materialized)
        self.observed = cache(events.observed)
        self.observe = events.observe


def find_states(project: Project, events: EventLog) -> dict[str, State]:
    """The state of every asset, in graph order. Sources count as they were last observed."""
    states: dict[str, State] = {}
    events = _OneLook(events)
    with project.code_keys.one_look():
        for asset in project.graph.assets.values():
            states[asset.name] = _state(project, events, asset, states)
    return states


def _state(
    project: Project, events: EventLog, asset: Asset[..., Any], states: Mapping[str, State]
) -> State:
    record = project.record(asset.name, events)
    latest = events.materialized(asset.name)
    version = latest.data_version if latest else None
    skipped = record.skipped if record else None
    above = [name for name in asset.inputs if name in states]
    for name in above:
        if blocker := _blocker(project, events, name, states):
            return State("blocked", (blocker,), version, skipped)
    upstream = [
        name
        for name in above
        if states[name].value_due or _broken(project, events, name) & set(states[name].parts)
    ]
    if upstream:
        state: StateName = "stale" if latest else "missing"
        return State(
            state, tuple(_stands_above(name, states[name].state) for name in upstream), version
        )
    if latest is None:
        reason: tuple[Reason, ...] = (NEVER,)
    elif record is None:
        reason = (Reason("missing", "the record of how it was made is gone"),)
    else:
        reason = ()
    unobserved = [
        name
        for name in asset.inputs
        if name in project.graph.sources and events.observed(name) is None
    ]
    if unobserved:
        seen = Reason("missing", f"{unobserved[0]} was never observed", unobserved[0])
        return State("missing", (*reason, seen), version, skipped)
    action = project.action(asset, lambda name: _version(project, events, name))
    present, reasons = _compare(project, asset, record, action, reason)
    if present != "fresh" or record is None or latest is None:
        return State(present, reasons, version, skipped)
    return _with_parts(project, asset, record, latest, State("fresh", (), version, skipped))


def _compare(
    project: Project,
    asset: Asset[..., Any],
    record: ActionRecord | None,
    action: Action,
    reason: tuple[Reason, ...],
) -> tuple[StateName, tuple[Reason, ...]]:
    """The state, and why, of an asset whose inputs stand; `reason` says why it has no record."""
    if record is not None and record.action_key == action.key:
        gone = Reason("missing", "its artifact is gone")
        return ("fresh", ()) if project.workspace.holds(record) else ("missing", (gone,))
    failure = _failure(project, asset, action)
    if failure:
        return "failed", (Reason("failed", failure),)
    if reason or record is None:
        return "missing", reason
    return "stale", tuple(differences(record, action))


def _failure(project: Project, asset: Asset[..., Any], action: Action) -> str | None:
    """Why this very action, or what describes or checks its result, failed last."""
    workspace = project.workspace
    if failure := workspace.failures.find(asset.name, action.key):
        return failure
    known = workspace.actions.find(asset.name, action.key)
    for part, part_action in project.part_actions(asset, known) if known else ():
        if failure := workspace.failures.find(part.name, part_action.key):
            return f"{_label(asset, part.name)} failed: {failure}"
    return None


def _with_parts(
    project: Project,
    asset: Asset[..., Any],
    record: ActionRecord,
    latest: Materialized,
    fresh: State,
) -> State:
    """The state of an asset whose value stands, by what describes and checks it."""
    workspace = project.workspace
    due: list[str] = []
    reasons: list[Reason] = []
    failed = False
    for part, action in project.part_actions(asset, record):
        key = latest.parts.get(part.name, "")
        known = workspace.parts.find(part.name, key) if key else None
        if known is not None and key == action.key:
            continue
        due.append(part.name)
        label = _label(asset, part.name)
        if failure := workspace.failures.find(part.name, action.key):
            failed = True
            reasons.append(Reason("failed", f"{label} failed: {failure}"))
        elif known is None:
            text = f"{label} {'is gone' if key else 'was never made'}"
            reasons.append(Reason("missing", text))
        else:
            reasons += differences(known, action, label)
    if not due:
        return fresh
    state: StateName = "failed" if failed else "stale"
    return State(state, tuple(reasons), fresh.data_version, fresh.skipped, tuple(due))


def _label(asset: Asset[..., Any], part: str) -> str:
    """A part in words."""
    own = part.removeprefix(f"{asset.name}.")
    return f"the check {own}" if any(own == one.name for one in asset.checks) else "its description"


def moved_itself(
    project: Project, asset: Asset[..., Any], record: ActionRecord
) -> Iterator[Reason]:
    """What moved in the asset itself, its code and its settings; its inputs apart."""
    action = project.action(asset, lambda name: record.inputs.get(name, ""))
    yield from own_differences(record, action)
    for name, key in action.inputs.items():
        if is_reader(name) and record.inputs.get(name) != key:
            yield Reason("input", f"input {name} changed", name)


def _blocker(
    project: Project, events: EventLog, name: str, states: Mapping[str, State]
) -> Reason | None:
    """Why what reads `name` is blocked, if it is."""
    if states[name].state == "blocked":
        return _stands_above(name, "blocked")
    if states[name].value_due:
        return None
    broken = sorted(_broken(project, events, name) - set(states[name].parts))
    if not broken:
        return None
    check = broken[0].removeprefix(f"{name}.")
    return Reason("check", f"the check {check} of {name} failed", name)


def _stands_above(name: str, state: StateName) -> Reason:
    return Reason("upstream", f"upstream {name} is {state}", name)


def _broken(project: Project, events: EventLog, name: str) -> set[str]:
    """The parts behind the blocking checks of an asset that failed when they last ran."""
    asset = project.graph.assets[name]
    if not asset.blocking:
        return set()
    parts = project.parts(name, events).values()
    return {f"{name}.{check}" for check in broken_blocking_checks(asset, parts)}


def _version(project: Project, events: EventLog, name: str) -> str:
    if name in project.graph.sources:
        return events.observed(name) or ""
    latest = events.materialized(name)
    return latest.data_version if latest else ""
