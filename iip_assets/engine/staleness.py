"""Which assets are stale, and why, in words.

Read from recorded provenance each time, so nothing is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from iip_assets.engine.actions import Action, ActionRecord
from iip_assets.engine.asset import Asset
from iip_assets.engine.perform import broken_blocking_checks
from iip_assets.engine.project import Ledger, Project, is_reader
from iip_assets.engine.workspace import flat_settings

# How a reason begins that is no more than the state of an asset above.
_ABOVE = "upstream "

StateName = Literal["fresh", "stale", "missing", "failed", "blocked"]


@dataclass(frozen=True)
class State:
    """How an asset stands.

    Attributes:
        state: `fresh`; `stale` (something that it reads moved); `missing` (never made, or its
            artifact is gone); `failed` (the present action failed when last tried); `blocked` (a
            blocking check above failed).
        why: The reasons in words; empty when fresh.
        data_version: What it holds, if anything.
        skipped: Why it could not be made from this data, if so.
    """

    state: StateName
    why: tuple[str, ...] = ()
    data_version: str | None = None
    skipped: str | None = None

    @property
    def due(self) -> bool:
        """Whether a refresh would run it."""
        return self.state in ("stale", "missing", "failed")


def stands_above(reason: str) -> bool:
    """Whether a reason is no more than the state of an asset above."""
    return reason.startswith(_ABOVE)


def find_states(project: Project, ledger: Ledger) -> dict[str, State]:
    """The state of every asset, in graph order. Sources count as they were last observed."""
    states: dict[str, State] = {}
    for asset in project.graph.assets.values():
        states[asset.name] = _state(project, ledger, asset, states)
    return states


def _state(
    project: Project, ledger: Ledger, asset: Asset[..., Any], states: Mapping[str, State]
) -> State:
    record = project.record(asset.name, ledger)
    latest = ledger.materialized(asset.name)
    version = latest.data_version if latest else None
    skipped = record.skipped if record else None
    for name in asset.inputs:
        if name in states and (blocker := _blocker(project, ledger, name, states)):
            return State("blocked", (blocker,), version, skipped)
    upstream = [name for name in asset.inputs if name in states and states[name].due]
    if upstream:
        state: StateName = "stale" if latest else "missing"
        return State(
            state, tuple(f"{_ABOVE}{name} is {states[name].state}" for name in upstream), version
        )
    if latest is None:
        reason: tuple[str, ...] = ("never materialized",)
    elif record is None:
        reason = ("the record of how it was made is gone",)
    else:
        reason = ()
    unobserved = [
        name
        for name in asset.inputs
        if name in project.graph.sources and ledger.observed(name) is None
    ]
    if unobserved:
        return State("missing", (*reason, f"{unobserved[0]} was never observed"), version, skipped)
    action = project.action(asset, lambda name: _version(project, ledger, name))
    present, why = _compare(project, asset.name, record, action, reason)
    return State(present, why, version, skipped)


def _compare(
    project: Project,
    name: str,
    record: ActionRecord | None,
    action: Action,
    reason: tuple[str, ...],
) -> tuple[StateName, tuple[str, ...]]:
    """The state, and why, of an asset whose inputs stand; `reason` says why it has no record."""
    failure = project.workspace.failures.find(name, action.key)
    if record is not None and record.action_key == action.key:
        if project.workspace.artifacts.has(record.artifact):
            return "fresh", ()
        return "missing", ("its artifact is gone",)
    if failure:
        return "failed", (failure,)
    if reason or record is None:
        return "missing", reason
    return "stale", tuple(differences(record, action))


def differences(record: ActionRecord, action: Action) -> list[str]:
    """What moved between the recorded action and the present one, in words."""
    reasons = _own_differences(record, action)
    for name in _changed(record.inputs, action.inputs):
        reasons.append(f"input {name} changed")
    return reasons or ["the way code keys are formed changed"]


def own_differences(project: Project, asset: Asset[..., Any], record: ActionRecord) -> list[str]:
    """What moved in the asset itself, its code and its settings, in words; its inputs apart."""
    action = project.action(asset, lambda name: record.inputs.get(name, ""))
    reasons = _own_differences(record, action)
    readers = [name for name in _changed(record.inputs, action.inputs) if is_reader(name)]
    return reasons + [f"input {name} changed" for name in readers]


def _own_differences(record: ActionRecord, action: Action) -> list[str]:
    reasons = []
    changed = _changed(record.modules, action.code.modules)
    if changed:
        reasons.append(f"code changed: {_listed(changed)}")
    for name in _changed(record.packages, action.code.packages):
        had, has = record.packages.get(name, "absent"), action.code.packages.get(name, "unused")
        reasons.append(f"package {name} changed: {had} → {has}")
    before, now = flat_settings(record.settings), flat_settings(action.settings)
    for path in _changed(before, now):
        was, present = _short(before.get(path)), _short(now.get(path))
        reasons.append(f"setting {path} changed: {was} → {present}")
    return reasons


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _blocker(
    project: Project, ledger: Ledger, name: str, states: Mapping[str, State]
) -> str | None:
    """Why what reads `name` is blocked, if it is."""
    if states[name].state == "blocked":
        return f"{_ABOVE}{name} is blocked"
    record = project.record(name, ledger)
    if record is None or states[name].due:
        return None
    broken = broken_blocking_checks(project.graph.assets[name], record)
    return f"the check {broken[0]} of {name} failed" if broken else None


def _version(project: Project, ledger: Ledger, name: str) -> str:
    if name in project.graph.sources:
        return ledger.observed(name) or ""
    latest = ledger.materialized(name)
    return latest.data_version if latest else ""


def _listed(names: list[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
