"""Code keys and a ledger in memory, for tests that need no package and no Dagster."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from iip_assets.engine.code_key import CodeKey
from iip_assets.engine.project import Materialized


class Keys:
    """Code keys that a test can change."""

    def __init__(self) -> None:
        self.code: dict[str, str] = {}

    def of(self, function: Any) -> CodeKey:
        key = self.code.get(function.__name__, "first")
        return CodeKey(key, {function.__name__: key}, {})


@dataclass
class DictLedger:
    """A ledger in memory."""

    made: dict[str, Materialized] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)

    def materialized(self, asset: str) -> Materialized | None:
        return self.made.get(asset)

    def observed(self, source: str) -> str | None:
        return self.seen.get(source)

    def observe(self, source: str, data_version: str) -> None:
        self.seen[source] = data_version
