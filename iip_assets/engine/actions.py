"""Actions: what an asset is about to do, and the record of what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iip_assets.engine.artifacts import Artifact
from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.code_key import CodeKey
from iip_assets.engine.hashing import digest_json
from iip_assets.engine.values import Check, Markdown, MetadataValue, Rows


@dataclass(frozen=True)
class Action:
    """What an asset is about to do.

    Attributes:
        asset: Its name.
        code: Its code key, with the modules and packages behind it.
        settings: Path in iip.toml to value, for the settings that it declares.
        inputs: Input asset to data version.
    """

    asset: str
    code: CodeKey
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]

    @property
    def key(self) -> str:
        """The action key: equal keys mean equal results."""
        return digest_json([self.asset, self.code.key, dict(self.settings), dict(self.inputs)])


@dataclass(frozen=True)
class ActionRecord:
    """What came of an action: enough to give the result again without doing it.

    Attributes:
        action_key: The action's key.
        asset: The asset's name.
        code_key: The code key it ran with; `modules` and `packages` say what was in it.
        settings: The settings it read.
        inputs: Input asset to data version.
        artifact: Where the value lies; its content hash is the data version.
        metadata: For people, as JSON (`metadata_to_json`).
        checks: The check results, as JSON.
        images_computed: Rows that feature tables had to compute.
        images_reused: Rows that feature tables already had.
        seconds: How long it took.
        git_commit: The workspace's commit, with `+` where it had uncommitted changes.
        made_at: When it was done, UTC in ISO 8601; empty in records of before this was kept.
        features: The feature tables that it read and filled, by the names of their variants.
    """

    action_key: str
    asset: str
    code_key: str
    modules: Mapping[str, str]
    packages: Mapping[str, str]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    artifact: Artifact
    metadata: Mapping[str, Any]
    checks: tuple[Mapping[str, Any], ...]
    images_computed: int
    images_reused: int
    seconds: float
    git_commit: str
    made_at: str = ""
    features: tuple[str, ...] = ()

    @property
    def data_version(self) -> str:
        """The content hash of the value."""
        return self.artifact.content_hash

    @property
    def skipped(self) -> str | None:
        """Why the asset could not be made from this data, if so."""
        if self.artifact.kind != "skipped":
            return None
        return str(self.metadata["skipped"]["value"])


class ActionLog:
    """The records of actions done, one small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, asset: str, action_key: str) -> ActionRecord | None:
        """The record of an action, or None if it was never done (or its record is unreadable)."""
        return _read(self.file(asset, action_key))

    def all(self, asset: str) -> Iterator[ActionRecord]:
        """Every readable record of an asset, in no order that means anything."""
        for file in sorted((self._folder / asset).glob("[!.]*.json")):
            record = _read(file)
            if record is not None:
                yield record

    def assets(self) -> list[str]:
        """Every asset that has records, those that are in no graph any more among them."""
        if not self._folder.is_dir():
            return []
        return sorted(folder.name for folder in self._folder.iterdir() if folder.is_dir())

    def add(self, record: ActionRecord) -> None:
        """Keeps a record."""
        fields = asdict(record)
        write_text_whole(self.file(record.asset, record.action_key), json.dumps(fields, indent=1))

    def file(self, asset: str, action_key: str) -> Path:
        """Where the record of an action lies, if it was done."""
        return self._folder / asset / f"{action_key}.json"


def _read(file: Path) -> ActionRecord | None:
    """The record in a file, or None where that cannot be read: the action is done again."""
    try:
        fields = json.loads(file.read_text())
        fields["artifact"] = Artifact(**fields["artifact"])
        fields["checks"] = tuple(fields["checks"])
        fields["features"] = tuple(fields.get("features", ()))
        return ActionRecord(**fields)
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


class Failures:
    """For each asset, the action that failed last and why, until one succeeds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, asset: str, action_key: str) -> str | None:
        """Why this very action failed when it was last tried, or None."""
        try:
            fields = json.loads((self._folder / f"{asset}.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return str(fields["error"]) if fields.get("action_key") == action_key else None

    def add(self, asset: str, action_key: str, error: str) -> None:
        """Remembers that the action failed."""
        text = json.dumps({"action_key": action_key, "error": error})
        write_text_whole(self._folder / f"{asset}.json", text)

    def clear(self, asset: str) -> None:
        """Forgets the asset's failure."""
        (self._folder / f"{asset}.json").unlink(missing_ok=True)


def metadata_to_json(metadata: Mapping[str, MetadataValue]) -> dict[str, Any]:
    """Metadata as JSON that keeps what kind of thing each value is."""
    kept: dict[str, Any] = {}
    for name, value in metadata.items():
        if isinstance(value, Markdown):
            kept[name] = {"kind": "markdown", "value": value.text}
        elif isinstance(value, Rows):
            kept[name] = {"kind": "rows", "value": [dict(record) for record in value.records]}
        else:
            kept[name] = {"kind": "json", "value": value}
    return kept


def check_to_json(check: Check) -> dict[str, Any]:
    """A check result as JSON."""
    return {
        "name": check.name,
        "passed": check.passed,
        "severity": check.severity,
        "description": check.description,
        "metadata": metadata_to_json(check.metadata),
    }
