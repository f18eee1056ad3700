"""The registry: versions of both models, which of them are deployed, and who decided so.

MLflow on SQLite in the workspace's folder `registry/`. A version's files are there before it is
named; an alias is moved after the move was written down. So whoever is killed on the way leaves
nothing half done: the next who writes ends the last move.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import os
import subprocess
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from iip_assets.engine.atomic import write_folder_whole
from iip_assets.models.tasks import TASKS
from iip_assets.registry.registry_state import (
    ALIASES,
    MOVE,
    REGISTRY,
    Move,
    RegistryState,
    Version,
    database,
    move_json,
    read_registry,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient


class RegistryError(ValueError):
    """The registry cannot do what was asked."""


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
            known = read_registry(self._root).known(model, digest, served)
            if known is not None:
                return known
            words = json.dumps(served, sort_keys=True).encode()
            apart = f"-{hashlib.sha256(words).hexdigest()[:8]}" if served else ""
            folder = f"{model}/{digest[:16]}{apart}"
            write_folder_whole(self._root / REGISTRY / folder, files)
            made = client.create_model_version(
                name=model,
                source=(self._root / REGISTRY / folder).as_uri(),
                tags={"digest": digest, "folder": folder, "facts": json.dumps(facts)},
            )
            return self.version(model, int(made.version))

    def cached(self) -> RegistryState:
        """What the registry holds, after the last move was ended if its mover was killed."""
        with self._written():
            return read_registry(self._root)

    def version(self, model: str, number: int) -> Version:
        """A version by its number.

        Raises:
            RegistryError: There is none.
        """
        state = read_registry(self._root)
        for one in state.of(model):
            if one.number == number:
                return one
        there = ", ".join(str(one.number) for one in state.of(model)) or "none"
        raise RegistryError(f"there is no version {number} of the {model}; there are: {there}")

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
        """
        if alias not in ALIASES:
            raise RegistryError(f"{alias!r} is no alias; there are {' and '.join(ALIASES)}")
        with self._written() as client:
            if after is not None:
                self.version(model, after)
            state = read_registry(self._root)
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
            client.set_registered_model_tag(model, f"{MOVE}{count + 1:06d}", move_json(move))
            _set_alias(client, move)
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
            state = read_registry(self._root)
            for model in sorted({move.model for move in state.moves}):
                last = [move for move in state.moves if move.model == model][-1]
                holder = state.holder(model, last.alias)
                if (holder.number if holder else None) != last.after:
                    _set_alias(client, last)
            yield client


def _client(root: Path) -> MlflowClient:
    """MLflow on the workspace's own database, telling nobody."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    file = database(root)
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
