"""What the registry holds, read straight from its database: at once, and without MLflow.

Who moves which alias is `registry`'s business; this file only looks.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iip_assets.models.tasks import TASKS

REGISTRY = "registry"
"""The folder of a workspace that holds its registry; `make clean` leaves it alone."""

ALIASES = ("champion", "challenger")

MOVE = "move."
"""A model's tags that begin so tell who moved an alias, in the order of their numbers."""


@dataclass(frozen=True)
class Version:
    """A registered version of a model.

    Attributes:
        model: `filter` or `segmenter`.
        number: From 1 on.
        registered_at: When, in UTC.
        digest: SHA-256 of what the model is, as `Files.digest` gives it.
        aliases: `champion`, `challenger`, both or none.
        facts: What was recorded with it: data revision, commit, code key, settings, metrics.
        folder: Where its files lie.
    """

    model: str
    number: int
    registered_at: datetime
    digest: str
    aliases: tuple[str, ...]
    facts: Mapping[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """As people call it, such as `segmenter 3`."""
        return f"{self.model} {self.number}"

    def files(self) -> dict[str, bytes]:
        """Its files by name."""
        return {file.name: file.read_bytes() for file in sorted(self.folder.iterdir())}


@dataclass(frozen=True)
class Move:
    """An alias that was moved.

    Attributes:
        model: Whose.
        at: When, in UTC.
        who: Who did it.
        alias: Which.
        before: The version that had it, or None.
        after: The version that has it since, or None where it was taken away.
        reason: In the mover's words.
        override: Why the gate's word was not heeded, or None where it agreed.
        back: Whether it went back to whoever had it before.
    """

    model: str
    at: datetime
    who: str
    alias: str
    before: int | None
    after: int | None
    reason: str
    override: str | None
    back: bool


@dataclass(frozen=True)
class RegistryState:
    """All versions and moves, oldest first."""

    versions: tuple[Version, ...] = ()
    moves: tuple[Move, ...] = ()

    def of(self, model: str) -> tuple[Version, ...]:
        """The versions of one model."""
        return tuple(one for one in self.versions if one.model == model)

    def known(self, model: str, digest: str, serving: Mapping[str, Any]) -> Version | None:
        """The newest version that is this very model, served this very way."""
        for one in reversed(self.of(model)):
            if one.digest == digest and all(
                one.facts.get(name) == value for name, value in serving.items()
            ):
                return one
        return None

    def held(self, model: str, alias: str) -> list[int | None]:
        """Who had an alias, one after another, and has it now; what was rolled back is left out."""
        stack: list[int | None] = []
        for move in self.moves:
            if (move.model, move.alias) != (model, alias):
                continue
            if move.back:
                stack.pop()
            else:
                stack.append(move.after)
        return stack

    def holder(self, model: str, alias: str) -> Version | None:
        """The version that an alias stands for."""
        return next((one for one in self.of(model) if alias in one.aliases), None)


def database(root: Path) -> Path:
    """The registry's database."""
    return root / REGISTRY / "mlflow.db"


def read_registry(root: Path) -> RegistryState:
    """The registry of the workspace at `root`; an empty one where nothing was registered yet."""
    if not database(root).is_file():
        return RegistryState()
    with _opened(root) as rows:
        tags: dict[tuple[str, int], dict[str, str]] = {}
        for model, number, key, value in rows("name, version, key, value", "model_version_tags"):
            tags.setdefault((model, number), {})[key] = value
        aliases: dict[tuple[str, int], list[str]] = {}
        for model, alias, number in rows("name, alias, version", "registered_model_aliases"):
            aliases.setdefault((model, number), []).append(alias)
        versions = [
            Version(
                model=model,
                number=number,
                registered_at=datetime.fromtimestamp(made_ms / 1000, UTC),
                digest=tags[model, number]["digest"],
                aliases=tuple(sorted(aliases.get((model, number), ()))),
                facts=json.loads(tags[model, number]["facts"]),
                folder=root / REGISTRY / tags[model, number]["folder"],
            )
            for model, number, made_ms in rows("name, version, creation_time", "model_versions")
            if model in TASKS and "digest" in tags.get((model, number), {})
        ]
        moves = [
            (key, _move(model, value))
            for model, key, value in rows("name, key, value", "registered_model_tags")
            if key.startswith(MOVE)
        ]
    versions.sort(key=lambda one: (one.model, one.number))
    moves.sort(key=lambda pair: (pair[1].at, pair[0]))
    return RegistryState(tuple(versions), tuple(move for _, move in moves))


def move_json(move: Move) -> str:
    """A move as its tag holds it."""
    return json.dumps(
        {
            "at": move.at.isoformat(),
            "who": move.who,
            "alias": move.alias,
            "before": move.before,
            "after": move.after,
            "reason": move.reason,
            "override": move.override,
            "back": move.back,
        }
    )


def _move(model: str, text: str) -> Move:
    told = json.loads(text)
    return Move(model=model, at=datetime.fromisoformat(told.pop("at")), **told)


@contextmanager
def _opened(root: Path) -> Iterator[Any]:
    """A function that gives columns of a table."""
    with closing(sqlite3.connect(f"file:{database(root)}?mode=ro", uri=True)) as connection:
        yield lambda columns, table: connection.execute(f"SELECT {columns} FROM {table}")  # noqa: S608 - our own words
