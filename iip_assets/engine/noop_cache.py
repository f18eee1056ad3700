"""The short way to "nothing to do": nothing that the last look depended on has moved since.

A look at the graph that found nothing due leaves a file that names all it depended on: where the
event log stood, the settings and sources, the code, the installed packages, the records and
artifacts behind the present values. While these stand as they stood, the answer stands too, and
neither the graph nor its settings need be loaded. Any surprise leads to the long way, which alone
decides. Light on purpose: every `iip refresh` and `iip status` begins here.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.event_cache import (
    CachedEvents,
    event_log_mark,
    events_file,
    events_in,
    write_cached_events,
)
from iip_assets.engine.hashing import unsealed_json

if TYPE_CHECKING:
    from iip_assets.engine.dagster.refresh import Refresher
    from iip_assets.engine.staleness import State

Dependencies = dict[str, Any]
# Variables over the settings begin so.
_VARIABLES = "IIP_"


@dataclass(frozen=True)
class NoopCache:
    """A graph in which nothing is due.

    Attributes:
        assets: Name to room, state, reasons, data_version and skipped, in graph order.
        events: Who materialized what.
    """

    assets: Mapping[str, Mapping[str, Any]]
    events: CachedEvents

    @property
    def rooms(self) -> dict[str, str]:
        """Asset to room."""
        return {name: str(asset["room"]) for name, asset in self.assets.items()}

    def states(self) -> dict[str, State]:
        """The state of every asset, in graph order."""
        from iip_assets.engine.reasons import Reason
        from iip_assets.engine.staleness import State

        return {
            name: State(
                asset["state"],
                tuple(Reason(**one) for one in asset["reasons"]),
                asset["data_version"],
                asset["skipped"],
            )
            for name, asset in self.assets.items()
        }


def read_noop_cache(root: Path) -> NoopCache | None:
    """The last look at the workspace, if it found nothing due and still holds."""
    try:
        kept = unsealed_json(events_file(root / ".iip").read_text())
        noop = kept["noop"]
        holds = noop["dependencies"] == _dependencies(root, noop["files"], noop["package"]) and all(
            _stat(path) == seen for path, seen in noop["present"].items()
        )
        return NoopCache(noop["assets"], events_in(kept)) if holds else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # no look, or a damaged one: the long way


def write_noop_cache(refresher: Refresher, *, watched: Iterable[str]) -> None:
    """Looks at the graph and, if nothing is due, keeps that for `read_noop_cache`.

    Args:
        refresher: Of the project.
        watched: Files that settings and sources are read from, relative to the workspace.
    """
    project = refresher.project
    root, store = project.workspace.root, project.workspace.artifacts
    files, package = sorted(watched), str(project.code_keys.folder)
    before = _dependencies(root, files, package)
    # Whether a remote artifact is still there only its store can say.
    if before["event_log"] is None or store.url is not None:
        return
    states, events = refresher.states(), refresher.events()
    records = [record for name in states if (record := project.record(name, events))]
    paths = [
        path
        for record in records
        for path in (
            str(project.workspace.actions.file(record.asset, record.action_key)),
            *(store.path(one) for one in (record.artifact, record.notes) if one),
        )
    ]
    paths += [
        str(project.workspace.parts.file(part.asset, part.action_key))
        for name in states
        for part in project.parts(name, events).values()
    ]
    present = {path: _stat(path) for path in paths}
    moved = _dependencies(root, files, package) != before
    if moved or None in present.values() or any(state.due for state in states.values()):
        return
    assets = {
        name: {
            "room": project.graph.assets[name].room,
            "state": state.state,
            "reasons": [vars(reason) for reason in state.reasons],
            "data_version": state.data_version,
            "skipped": state.skipped,
        }
        for name, state in states.items()
    }
    noop = {
        "files": files,
        "package": package,
        "dependencies": before,
        "present": present,
        "assets": assets,
    }
    write_cached_events(project.workspace.state, project.graph, events, noop=noop)


def _dependencies(root: Path, files: Iterable[str], package: str) -> Dependencies:
    """What a look depends on, but for what the event log names."""
    # As a hash: one of them may be a webhook's address, which is a key.
    variables = sorted(item for item in os.environ.items() if item[0].startswith(_VARIABLES))
    # The folder of a script, or the present one, holds other files as well.
    installed = [folder for folder in sys.path[1:] if folder]
    return {
        "event_log": event_log_mark(root / ".iip" / "dagster"),
        "files": [_content(root / name) for name in files],
        "variables": hashlib.sha256(repr(variables).encode()).hexdigest(),
        "code": [__file__, _tree(package)],
        # Installing, upgrading or removing a package renames entries of its folder.
        "packages": [[folder, _stat(folder)] for folder in installed],
    }


def _content(path: Path) -> str | None:
    """The digest of a file, or that it is there where it is none (a device)."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return "present" if path.exists() else None


def _stat(path: str) -> list[int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - called for every record and artifact
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size, found.st_ino]


def _tree(folder: str) -> str:
    """The digest of names, times and sizes of all Python files below a folder."""
    found = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.name.endswith(".py"):
                    seen = entry.stat()
                    found.append(f"{entry.path} {seen.st_mtime_ns} {seen.st_size} {seen.st_ino}")
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()
