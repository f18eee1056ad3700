"""Which workspaces keep their values in one artifact store.

Each leaves a note there, so that cleaning up in one takes nothing away that another one needs.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.engine.actions import action_log
from iip_assets.engine.atomic import write_text_whole
from iip_assets.engine.hashing import digest_bytes

if TYPE_CHECKING:
    from upath import UPath

    from iip_assets.engine.workspace import Workspace

# Beside the artifacts, whose folders have names of two letters.
_NOTES = "workspaces"


@dataclass(frozen=True)
class OtherUsers:
    """The other workspaces of a store.

    Attributes:
        artifacts: Names of the artifacts that records of theirs name.
        unseen: Notes of workspaces that cannot be looked into from here.
        none: Whether this workspace has the store to itself: a folder of its own in which no other
            one left a note.
    """

    artifacts: frozenset[str]
    unseen: tuple[str, ...]
    none: bool


def join_store(workspace: Workspace) -> None:
    """Notes in the store, once, that this workspace keeps values there."""
    note = _notes(workspace) / _own_name(workspace)
    if not note.exists():
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"root": str(workspace.root)}))


def other_users(workspace: Workspace) -> OtherUsers:
    """The other workspaces that keep values in this one's store."""
    notes, own = _notes(workspace), _own_name(workspace)
    store = workspace.artifacts
    within = store.url is None and Path(store.location).resolve().is_relative_to(workspace.root)
    artifacts: set[str] = set()
    unseen, none = [], within
    for note in sorted(notes.iterdir()) if notes.exists() else ():
        # A workspace that was moved or copied has its old note in its own store.
        copied = within and note.name.partition("-")[0] == own.partition("-")[0]
        if note.suffix != ".json" or note.name == own or copied:
            continue
        none = False
        state = _state_behind(note)
        if state is None:
            unseen.append(str(note))
            continue
        log = action_log(state)
        artifacts |= {
            artifact.name
            for asset in log.names()
            for record in log.all(asset)
            for artifact in (record.artifact, record.notes)
            if artifact
        }
    return OtherUsers(frozenset(artifacts), tuple(unseen), none)


def _notes(workspace: Workspace) -> UPath:
    return workspace.artifacts.root / _NOTES


def _own_name(workspace: Workspace) -> str:
    file = workspace.state / "id"
    try:
        own = file.read_text()
    except FileNotFoundError:
        own = uuid.uuid4().hex
        write_text_whole(file, own)
    return f"{own}-{digest_bytes(str(workspace.root).encode())[:16]}.json"


def _state_behind(note: UPath) -> Path | None:
    """The state folder of the workspace that left the note; None where it is not this one here."""
    try:
        state = Path(json.loads(note.read_text())["root"]) / ".iip"
        same = (state / "id").read_text() == note.name.partition("-")[0]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if same else None
