"""A workspace: one team's folder under git and DVC, its settings, and the engine's state."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iip_assets.engine.actions import (
    ActionRecord,
    Failures,
    PartRecord,
    RecordLog,
    action_log,
    part_log,
)
from iip_assets.engine.artifacts import ArtifactStore
from iip_assets.engine.values import AsBefore, Operation
from iip_assets.errors import UserError


class OutsideError(UserError, ValueError):
    """A place inside the workspace was asked for, and the path leads out of it."""


@dataclass(frozen=True)
class Workspace:
    """Where a graph runs.

    Attributes:
        root: The folder.
        read_settings: Reads the settings as they are now; anything with attributes.
        artifacts_at: The setting that names the artifact store, if there is one.
        settings_at: Reads the settings of a git revision, from a function that gives the text of
            the workspace's files there by their paths.
    """

    root: Path
    read_settings: Callable[[Path], Any]
    artifacts_at: str | None = None
    settings_at: Callable[[Callable[[str], str]], Any] | None = None

    @property
    def state(self) -> Path:
        """The folder of everything that can be computed again."""
        return self.root / ".iip"

    @property
    def dagster_home(self) -> Path:
        """Dagster's home: runs, events, schedules."""
        return self.state / "dagster"

    @property
    def actions(self) -> RecordLog[ActionRecord]:
        """The records of values that were computed."""
        return action_log(self.state)

    @property
    def parts(self) -> RecordLog[PartRecord]:
        """The records of descriptions and checks."""
        return part_log(self.state)

    @property
    def failures(self) -> Failures:
        """What failed last."""
        return Failures(self.state / "failures")

    @property
    def artifacts(self) -> ArtifactStore:
        """The store of values, at the place that the settings name.

        Raises:
            OutsideError: That is written as a folder of the workspace, and lies outside.
        """
        location = ".iip/artifacts"
        if self.artifacts_at is not None:
            location = str(setting_value(self.read_settings(self.root), self.artifacts_at))
        if "://" in location:
            return ArtifactStore(location)
        if ".." in Path(location).parts and not Path(location).is_absolute():
            raise OutsideError(
                f"{self.artifacts_at} = {location!r} leaves the workspace {self.root}; if that is "
                f"meant, write the whole path: {(self.root / location).resolve()}"
            )
        return ArtifactStore(str(self.root / location))

    def kept(self, asset: str, data_version: str) -> ActionRecord | None:
        """A record of an asset's value of this version whose artifact is there, or None."""
        for record in self.actions.all(asset):
            if record.data_version == data_version and self.holds(record):
                return record
        return None

    def holds(self, record: ActionRecord) -> bool:
        """Whether all that a record names is in the store."""
        store = self.artifacts
        return store.has(record.artifact) and (record.notes is None or store.has(record.notes))

    def git_commit(self) -> str:
        """The checked-out commit, with `+` where tracked files differ; empty outside git."""
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=self.root, capture_output=True, text=True, check=False
        )
        if head.returncode:
            return ""
        changed = subprocess.run(
            # Without the optional lock: killed while it holds it, it would leave a repository in
            # which nobody can commit.
            ["git", "--no-optional-locks", "status", "--porcelain", "--untracked-files=no"],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def setting_value(settings: Any, path: str) -> Any:
    """The setting at a dotted path.

    Raises:
        KeyError: There is no such setting.
    """
    value = settings
    for name in path.split("."):
        if not hasattr(value, name):
            raise KeyError(f"there is no setting {path!r}")
        value = getattr(value, name)
    return value


def setting_json(value: Any) -> Any:
    """A setting as JSON: a section of pydantic's, several of them, or a plain value."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    return [setting_json(one) for one in value] if isinstance(value, tuple) else value


def keyed_settings(settings: Any, paths: Iterable[str]) -> dict[str, Any]:
    """Path to value as JSON, of what enters a key: neither operations nor fields as before.

    Raises:
        KeyError: There is no such setting.
    """
    found: dict[str, Any] = {}
    for path in paths:
        section, _, name = path.rpartition(".")
        value = setting_value(settings, path)
        if _enters_keys(setting_value(settings, section) if section else settings, name, value):
            found[path] = _keyed_json(value)
    return found


def _keyed_json(value: Any) -> Any:
    if not hasattr(value, "model_dump"):
        return setting_json(value)
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    return {
        name: _keyed_json(one) for name, one in fields.items() if _enters_keys(value, name, one)
    }


def _enters_keys(section: Any, name: str, value: Any) -> bool:
    """Whether a field of a section says what is computed, and not only how or as ever."""
    fields = getattr(type(section), "model_fields", {})
    marks = fields[name].metadata if name in fields else []
    return not any(
        isinstance(mark, Operation)
        or (isinstance(mark, AsBefore) and setting_json(value) == mark.value)
        for mark in marks
    )


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by full path, sections taken apart."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if isinstance(value, dict) and value:
            flat |= flat_settings(value, f"{path}.")
        else:
            flat[path] = value
    return flat
