"""Why an asset is not fresh: values that status, plan and explanation put into the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from iip_assets.engine.actions import Action, Record
from iip_assets.engine.workspace import flat_settings

Kind = Literal[
    "upstream",  # an asset above is due or blocked
    "missing",  # nothing is there, or it is gone
    "failed",
    "check",  # a blocking check above failed
    "code",
    "package",
    "setting",
    "input",
    "other",
]

# One fix serves every asset that has such a reason.
_SHARED = ("code", "package", "setting", "input")


@dataclass(frozen=True)
class Reason:
    """One reason.

    Attributes:
        kind: What it is of.
        text: In words.
        name: Of the asset above, the module, the package, the setting or the input.
        part: The description or check that it is of, in words; empty where it is of the value.
    """

    kind: Kind
    text: str
    name: str = ""
    part: str = ""

    @property
    def shared(self) -> bool:
        """Whether one fix serves every asset with this reason."""
        return self.kind in _SHARED

    def __str__(self) -> str:
        return f"{self.part}: {self.text}" if self.part else self.text


def code_changed(module: str, part: str = "") -> Reason:
    """The code of a module is another one."""
    return Reason("code", f"code of {module} changed", module, part)


def in_words(reasons: Iterable[Reason], most: int = 3) -> list[str]:
    """The reasons in words, changed modules in one line, named up to `most`."""
    lines: dict[str, list[str]] = {}
    for reason in reasons:
        line = str(replace(reason, text="code changed: ") if reason.kind == "code" else reason)
        modules = lines.setdefault(line, [])
        modules += [reason.name] if reason.kind == "code" else []
    return [line + _listed(modules, most) for line, modules in lines.items()]


def by_reason(skipped: Mapping[str, str]) -> dict[str, list[str]]:
    """Reason to the assets that were skipped for it: what lacks the same stands in one line."""
    found: dict[str, list[str]] = {}
    for name, reason in skipped.items():
        found.setdefault(reason, []).append(name)
    return found


def differences(record: Record, action: Action, part: str = "") -> list[Reason]:
    """What moved between a recorded action and the present one.

    Args:
        record: What was done.
        action: What would be done now.
        part: The description or check that both are of, in words.
    """
    found = [*own_differences(record, action, part)]
    found += [
        Reason("input", f"input {name} changed", name, part)
        for name in _changed(record.inputs, action.inputs)
    ]
    return found or [Reason("other", "the way code keys are formed changed", part=part)]


def own_differences(record: Record, action: Action, part: str = "") -> Iterator[Reason]:
    """What moved in code, packages and settings."""
    for module in _changed(record.modules, action.code.modules):
        yield code_changed(module, part)
    for name in _changed(record.packages, action.code.packages):
        had, has = record.packages.get(name, "absent"), action.code.packages.get(name, "unused")
        yield Reason("package", f"package {name} changed: {had} → {has}", name, part)
    before, now = flat_settings(record.settings), flat_settings(action.settings)
    for path in _changed(before, now):
        was, present = _short(before.get(path)), _short(now.get(path))
        yield Reason("setting", f"setting {path} changed: {was} → {present}", path, part)


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def _listed(names: list[str], most: int) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
