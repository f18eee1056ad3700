"""Actions: what an asset's functions are about to do, and the records of what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from iip_assets.engine.artifacts import Artifact
from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.code_key import CodeKey
from iip_assets.engine.hashing import digest_json, sealed_json, unsealed_json
from iip_assets.engine.values import CheckResult, Markdown, MetadataValue, Rows


@dataclass(frozen=True)
class Action:
    """What a function of an asset is about to do.

    Attributes:
        asset: The name of the `Part`: the asset's own where its value is computed.
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


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was done, and of what.

    Attributes:
        action_key: The action's key.
        asset: The name of the `Part`: the asset's own where its value was computed.
        code_key: The code key it ran with; `modules` and `packages` say what was in it.
        settings: The settings it read, as far as they enter the key.
        inputs: Input asset to data version; of a part, the asset itself is one.
        seconds: How long it took.
        made_at: When it was done, UTC in ISO 8601.
    """

    action_key: str
    asset: str
    code_key: str
    modules: Mapping[str, str]
    packages: Mapping[str, str]
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    seconds: float
    made_at: str = ""


@dataclass(frozen=True, kw_only=True)
class ActionRecord(Record):
    """What came of computing an asset: enough to give the value again without doing it.

    Attributes:
        artifact: Where the value lies; its content hash is the data version.
        images_computed: Rows that feature tables had to compute.
        images_reused: Rows that feature tables already had.
        git_commit: The workspace's commit, with `+` where it had uncommitted changes.
        features: The feature tables that it read and filled, by the names of their variants.
        skipped: Why the asset could not be made from this data, if so.
        notes: Where what `Noted` kept lies, if anything.
        rows: How many rows the value's table, or its first one, has, if it is of tables.
        columns: Column to type, after the table's name where there are several.
        machine: What it ran on, and the settings that say how work is done: equal keys mean equal
            values only up to the order of floating-point sums.
    """

    artifact: Artifact
    images_computed: int
    images_reused: int
    git_commit: str
    features: tuple[str, ...] = ()
    skipped: str | None = None
    notes: Artifact | None = None
    rows: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def data_version(self) -> str:
        """The content hash of the value."""
        return self.artifact.content_hash

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> ActionRecord:
        """The record whose fields these are."""
        return cls(
            **{
                **fields,
                "artifact": Artifact(**fields["artifact"]),
                "notes": Artifact(**fields["notes"]) if fields["notes"] else None,
                "features": tuple(fields["features"]),
            }
        )


@dataclass(frozen=True, kw_only=True)
class PartRecord(Record):
    """What describes or checks a value.

    Attributes:
        result: Metadata (`metadata_to_json`) or a check's result (`check_to_json`), as JSON.
    """

    result: Mapping[str, Any]


_RECORD_FILE = re.compile(r"[0-9a-f]{64}\.json|\.[0-9a-f]{64}\.json\.[0-9a-f]{32}")

R = TypeVar("R", bound=Record)


class RecordLog(Generic[R]):
    """Records of one kind, one small file each, in a folder for each asset or part."""

    def __init__(self, folder: Path, from_json: Callable[[dict[str, Any]], R]) -> None:
        self._folder, self._from_json = folder, from_json

    def find(self, name: str, action_key: str) -> R | None:
        """The record of an action, or None if it was never done (or its record is unreadable)."""
        return self._read(self.file(name, action_key))

    def all(self, name: str) -> Iterator[R]:
        """Every readable record of an asset or part, in no order that means anything."""
        for file in sorted((self._folder / name).glob("[!.]*.json")):
            record = self._read(file)
            if record is not None:
                yield record

    def files(self) -> dict[Path, tuple[str, str]]:
        """Every record's file with the asset or part and the action key that it stands for.

        What killed writes left is among them, under a key that no action has.
        """
        return {
            file: (file.parent.name, file.name.removesuffix(".json"))
            for file in sorted(self._folder.glob("*/*"))
            if _RECORD_FILE.fullmatch(file.name) and file.is_file()
        }

    def names(self) -> list[str]:
        """Every asset or part that has records, those that are in no graph any more among them."""
        if not self._folder.is_dir():
            return []
        return sorted(folder.name for folder in self._folder.iterdir() if folder.is_dir())

    def add(self, record: R) -> None:
        """Keeps a record."""
        text = sealed_json(asdict(record), indent=1)
        write_text_whole(self.file(record.asset, record.action_key), text)

    def file(self, name: str, action_key: str) -> Path:
        """Where the record of an action lies, if it was done."""
        return self._folder / name / f"{action_key}.json"

    def _read(self, file: Path) -> R | None:
        """The record in a file, or None where that cannot be read: the action is done again."""
        try:
            return self._from_json(_record_fields(file.read_text()))
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None


def _record_fields(text: str) -> dict[str, Any]:
    """The fields of a record that is whole; an older version wrote no hash."""
    try:
        return unsealed_json(text)
    except KeyError:
        return dict(json.loads(text))


def action_log(state: Path) -> RecordLog[ActionRecord]:
    """The records of values that were computed, in a workspace's state folder."""
    return RecordLog(state / "actions", ActionRecord.from_json)


def part_log(state: Path) -> RecordLog[PartRecord]:
    """The records of descriptions and checks, in a workspace's state folder."""
    return RecordLog(state / "parts", lambda fields: PartRecord(**fields))


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

    def add(self, asset: str, action_key: str, error: str, *, trace: str) -> None:
        """Remembers that the action failed, and its whole traceback."""
        text = json.dumps({"action_key": action_key, "error": error})
        write_text_whole(self._folder / f"{asset}.json", text)
        write_text_whole(self.traceback_file(asset), trace)

    def clear(self, asset: str) -> None:
        """Forgets the asset's failure."""
        for file in (self._folder / f"{asset}.json", self.traceback_file(asset)):
            file.unlink(missing_ok=True)

    def traceback_file(self, asset: str) -> Path:
        """Where the whole traceback of the asset's failure lies."""
        return self._folder / f"{asset}.txt"


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


def check_to_json(name: str, check: CheckResult) -> dict[str, Any]:
    """A check's result as JSON."""
    return {
        "name": name,
        "passed": check.passed,
        "severity": check.severity,
        "description": check.description,
        "metadata": metadata_to_json(check.metadata),
    }
