"""The registry: versions of both models, which of them are deployed, and who decided so.

MLflow, through its client, on SQLite in the workspace's folder `registry/`. A version's files are
there before it is named; an alias is moved after the move was written down. So whoever is killed on
the way leaves nothing half done: the next who writes ends the last move.

To look needs no MLflow, which takes seconds to load: what it said last is kept beside its database
and counts while that stands as it stood.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import os
import shutil
import subprocess
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from iip_assets.engine.atomic import write_folder_whole, write_text_whole
from iip_assets.engine.hashing import digest_bytes, sealed_json, unsealed_json
from iip_assets.models.tasks import TASKS
from iip_assets.registry.registry_state import (
    ALIASES,
    REGISTRY,
    Move,
    RegistryState,
    Version,
    state_from_json,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


# A model's tags that begin so say who moved an alias, in the order of their numbers.
_MOVE = "move."


class RegistryError(ValueError):
    """The registry cannot do what was asked."""


def read_registry(root: Path) -> RegistryState:
    """The registry of the workspace at `root`; an empty one where nothing was registered yet."""
    if not _database(root).is_file():
        return RegistryState()
    with suppress(OSError, ValueError, KeyError, TypeError):  # no copy, or a damaged one
        kept = unsealed_json(_copy(root).read_text())
        if kept["mark"] == _mark(root):
            return state_from_json(root, kept)
    return _ask(root, _client(root))


def observe_registry(root: Path) -> str:
    """Changes with every version that is registered and with every alias that is moved."""
    versions = read_registry(root).versions
    held = [(one.model, one.number, one.digest, one.aliases) for one in versions]
    return hashlib.sha256(repr(held).encode()).hexdigest()


def load_registry(root: Path, data_version: str) -> RegistryState:
    """The versions as they are now.

    Raises:
        LookupError: They are not what they were when the registry was looked at.
    """
    if observe_registry(root) != data_version:
        raise LookupError("the registry changed meanwhile; run `iip refresh` again")
    return read_registry(root)


def registered_actions(root: Path) -> list[tuple[str, str]]:
    """Asset and key of the actions that made registered versions: their lineage is kept."""
    return [
        (str(one.facts["asset"]), str(one.facts["action_key"]))
        for one in read_registry(root).versions
        if {"asset", "action_key"} <= one.facts.keys()
    ]


class Registry:
    """The registry of one workspace, to write to; `read_registry` is enough to look."""

    def __init__(self, root: Path) -> None:
        """The registry of the workspace at `root`."""
        self._root = root

    def register(
        self,
        model: str,
        files: Mapping[str, bytes],
        *,
        digest: str,
        facts: Mapping[str, Any],
        serving: Collection[str] = (),
    ) -> Version:
        """A new version; the one that there is where this very model is registered already.

        Args:
            model: `filter` or `segmenter`.
            files: Its files by name.
            digest: What tells the model from others.
            facts: What is to be known of it, such as where it came from.
            serving: Names of the facts that change what it says to an image, such as the filter's
                threshold: with others it is another version.
        """
        served = {name: facts[name] for name in serving}
        with self._written() as client:
            known = _ask(self._root, client).known(model, digest, served)
            if known is not None:
                return known
            words = json.dumps(served, sort_keys=True).encode()
            apart = f"-{hashlib.sha256(words).hexdigest()[:8]}" if served else ""
            folder = f"{model}/{digest[:16]}{apart}"
            place = self._root / REGISTRY / folder
            if place.exists():  # left by a killed registration: no version has it
                shutil.rmtree(place)
            write_folder_whole(place, files)
            hashes = {name: digest_bytes(data) for name, data in files.items()}
            made = client.create_model_version(
                name=model,
                source=place.as_uri(),
                tags={
                    "digest": digest,
                    "folder": folder,
                    "facts": json.dumps(facts),
                    "hashes": json.dumps(hashes),
                },
            )
            return _version(_ask(self._root, client), model, int(made.version))

    def cached(self) -> RegistryState:
        """What the registry holds, after the last move was ended if its mover was killed."""
        with self._written() as client:
            return _ask(self._root, client)

    def version(self, model: str, number: int) -> Version:
        """A version by its number.

        Raises:
            RegistryError: There is none.
        """
        return _version(read_registry(self._root), model, number)

    def move(
        self,
        model: str,
        alias: str,
        after: int | None,
        *,
        reason: str,
        override: str | None = None,
        who: str | None = None,
        back: bool = False,
    ) -> Move:
        """Moves an alias to a version, or takes it away, and records who did so.

        Args:
            model: `filter` or `segmenter`.
            alias: `champion` or `challenger`.
            after: The version that shall have it, or None.
            reason: In the mover's words.
            override: Why the gate's word is not heeded.
            who: The mover; whoever is logged in unless given.
            back: Whether this goes back to whoever had it before.

        Raises:
            RegistryError: There is no such version or alias, or nothing would change.
            DamagedVersionError: A file of the version is gone, or is not what was registered.
        """
        if alias not in ALIASES:
            raise RegistryError(f"{alias!r} is no alias; there are {' and '.join(ALIASES)}")
        with self._written() as client:
            state = _ask(self._root, client)
            if after is not None:
                _version(state, model, after).files()
            holder = state.holder(model, alias)
            before = holder.number if holder else None
            if before == after:
                raise RegistryError(f"the {alias} {model} is {_called(after)} already")
            move = Move(
                model=model,
                at=datetime.now(UTC),
                who=who or _who(self._root),
                alias=alias,
                before=before,
                after=after,
                reason=reason,
                override=override,
                back=back,
            )
            count = sum(one.model == model for one in state.moves)
            client.set_registered_model_tag(model, f"{_MOVE}{count + 1:06d}", _move_json(move))
            _set_alias(client, move)
            _ask(self._root, client)
            return move

    def roll_back(self, model: str, alias: str, *, reason: str, who: str | None = None) -> Move:
        """Gives an alias back to the version that had it before.

        Rolled back twice, it goes back two steps, and does not return to where it was.

        Raises:
            RegistryError: No other version ever had it.
        """
        held = read_registry(self._root).held(model, alias)
        if len(held) < 2 or held[-2] is None:
            raise RegistryError(
                f"no other {model} was {alias} before this one; there is nothing to go back to"
            )
        return self.move(model, alias, held[-2], reason=reason, who=who, back=True)

    @contextmanager
    def _written(self) -> Iterator[MlflowClient]:
        folder = self._root / REGISTRY
        folder.mkdir(exist_ok=True)
        with FileLock(folder / "lock"):
            client = _client(self._root)
            state = _ask(self._root, client)
            for model in sorted({move.model for move in state.moves}):
                last = [move for move in state.moves if move.model == model][-1]
                holder = state.holder(model, last.alias)
                if (holder.number if holder else None) != last.after:
                    _set_alias(client, last)
            yield client


def _version(state: RegistryState, model: str, number: int) -> Version:
    for one in state.of(model):
        if one.number == number:
            return one
    there = ", ".join(str(one.number) for one in state.of(model)) or "none"
    raise RegistryError(f"there is no version {number} of the {model}; there are: {there}")


def _ask(root: Path, client: MlflowClient) -> RegistryState:
    """What MLflow holds, of which a copy is kept for `read_registry`."""
    mark = _mark(root)  # before asking: what changes meanwhile is asked for again
    models = [one for one in client.search_registered_models() if one.name in TASKS]
    versions = [
        {
            "model": model.name,
            "number": int(one.version),
            "registered_at": one.creation_timestamp,
            "digest": one.tags["digest"],
            "aliases": [name for name, held in model.aliases.items() if held == one.version],
            "facts": json.loads(one.tags["facts"]),
            "folder": one.tags["folder"],
            "hashes": json.loads(one.tags.get("hashes", "{}")),
        }
        for model in models
        for one in _versions(client, model.name)
        if "digest" in one.tags
    ]
    moves = [
        {"model": model.name, **json.loads(text)}
        for model in models
        for name, text in sorted(model.tags.items())
        if name.startswith(_MOVE)
    ]
    kept = {"mark": mark, "versions": versions, "moves": moves}
    with suppress(OSError):  # whoever may only read the workspace can look all the same
        write_text_whole(_copy(root), sealed_json(kept))
    return state_from_json(root, kept)


def _versions(client: MlflowClient, model: str) -> Iterator[ModelVersion]:
    token = None
    while True:
        page = client.search_model_versions(f"name = '{model}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _database(root: Path) -> Path:
    return root / REGISTRY / "mlflow.db"


def _copy(root: Path) -> Path:
    return root / REGISTRY / "state.json"


def _mark(root: Path) -> list[object]:
    """Where the database stands: SQLite counts its changes in the file's head."""
    file = _database(root)
    with file.open("rb") as opened:
        head = opened.read(28)
    beside = [file.with_name(f"{file.name}-{end}").exists() for end in ("journal", "wal")]
    stat = file.stat()
    return [head[24:].hex(), stat.st_size, stat.st_ino, *beside]


def _move_json(move: Move) -> str:
    """A move as its tag holds it."""
    fields = asdict(move)
    del fields["model"]
    return json.dumps({**fields, "at": move.at.isoformat()})


def _client(root: Path) -> MlflowClient:
    """MLflow on the workspace's own database, telling nobody."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    file = _database(root)
    if not file.is_file():
        # A database whose making was killed would lack tables for ever.
        unfinished = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
        first = _connected(MlflowClient, unfinished)
        for model in TASKS:
            first.create_registered_model(model)
        unfinished.rename(file)
    return _connected(MlflowClient, file)


def _connected(client: type[MlflowClient], file: Path) -> MlflowClient:
    loggers = [logging.getLogger(name) for name in ("alembic", "mlflow")]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    uri = f"sqlite:///{file}"
    return client(tracking_uri=uri, registry_uri=uri)


def _set_alias(client: MlflowClient, move: Move) -> None:
    if move.after is None:
        client.delete_registered_model_alias(move.model, move.alias)
    else:
        client.set_registered_model_alias(move.model, move.alias, str(move.after))


def _called(number: int | None) -> str:
    return "nobody" if number is None else f"version {number}"


def _who(root: Path) -> str:
    """Whoever is logged in, by the name that git knows if it knows one."""
    asked = subprocess.run(
        ["git", "config", "user.email"], cwd=root, capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or getpass.getuser()
