"""What the registry holds, as values: versions, moves of aliases, and all of it as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iip_assets.engine.hashing import digest_bytes
from iip_assets.errors import UserError

REGISTRY = "registry"
"""The folder of a workspace that holds its registry; `make clean` leaves it alone."""

ALIASES = ("champion", "challenger")


class DamagedVersionError(UserError, RuntimeError):
    """A file of a registered version is gone, or is another one."""


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
        hashes: File to SHA-256; empty where it was registered before these were recorded.
    """

    model: str
    number: int
    registered_at: datetime
    digest: str
    aliases: tuple[str, ...]
    facts: Mapping[str, Any]
    folder: Path
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As people call it, such as `segmenter 3`."""
        return f"{self.model} {self.number}"

    def files(self) -> dict[str, bytes]:
        """Its files by name.

        Raises:
            DamagedVersionError: One is gone, or is not what was registered.
        """
        names = self.hashes or (file.name for file in self.folder.iterdir())
        return {name: self.read(name) for name in sorted(names)}

    def read(self, name: str) -> bytes:
        """One of its files.

        Raises:
            DamagedVersionError: It is gone, or is not what was registered.
        """
        file = self.folder / name
        try:
            data = file.read_bytes()
        except FileNotFoundError as error:
            raise self._damaged(file, "is gone") from error
        if name in self.hashes and digest_bytes(data) != self.hashes[name]:
            raise self._damaged(file, "is not the file that was registered")
        return data

    def _damaged(self, file: Path, what: str) -> DamagedVersionError:
        return DamagedVersionError(
            f"{file} {what}, so {self.name} cannot be used: bring that file back from a backup, "
            "or deploy another version (`iip models`)"
        )


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


def state_from_json(root: Path, kept: Mapping[str, Any]) -> RegistryState:
    """The state of the registry of the workspace at `root`, from its JSON.

    Args:
        root: The workspace's folder, under which the versions' folders lie.
        kept: `versions` and `moves`: lists of the fields of `Version` and `Move` in any order, with
            times in ISO 8601 (a version's in milliseconds since 1970, as MLflow has it).
    """
    versions = [
        Version(
            **{
                **fields,
                "registered_at": datetime.fromtimestamp(fields["registered_at"] / 1000, UTC),
                "aliases": tuple(sorted(fields["aliases"])),
                "folder": root / REGISTRY / fields["folder"],
            }
        )
        for fields in kept["versions"]
    ]
    moves = [Move(**{**one, "at": datetime.fromisoformat(one["at"])}) for one in kept["moves"]]
    versions.sort(key=lambda one: (one.model, one.number))
    moves.sort(key=lambda one: one.at)
    return RegistryState(tuple(versions), tuple(moves))
