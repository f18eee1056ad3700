"""Artifacts: what assets produced, stored once under the hash of its content."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.engine.atomic import write_bytes_whole
from iip_assets.engine.hashing import (
    canonical_json,
    digest_bytes,
    digest_json,
    digest_table,
    digest_tables,
)
from iip_assets.engine.values import Files, Report, Skipped
from iip_assets.errors import UserError

if TYPE_CHECKING:
    import polars as pl
    from upath import UPath

# Artifacts lie in folders by the beginning of their hash; what lies elsewhere is not ours.
_FOLDER_LETTERS = 2
# An artifact's name and place, and those of one that is half written.
_OURS = re.compile(
    r"([0-9a-f]{2})/(\1[0-9a-f]{62}\.(parquet|zip|json)"
    r"|\.\1[0-9a-f]{62}\.(parquet|zip|json)\.[0-9a-f]{32})"
)
# A zip entry's date must not depend on the clock; this is the earliest that the format holds.
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


class DamagedArtifactError(UserError, RuntimeError):
    """An artifact is there but cannot be read."""


@dataclass(frozen=True)
class Artifact:
    """A stored value.

    Attributes:
        kind: How its bytes are read back.
        content_hash: Its data version: equal for equal content, whatever the bytes (a report's
            markup may change while its data does not).
        name: Its file in the store, after the hash of the bytes.
    """

    kind: str
    content_hash: str
    name: str


def encode(value: Any) -> bytes:
    """The value's bytes as they are stored."""
    if isinstance(value, Files):
        return _zip(
            dict(value.parts) | {"__version_of__": canonical_json(list(value.version_of)).encode()}
        )
    if isinstance(value, Report):
        parts = {
            "report.html": value.html.encode(),
            "data.json": canonical_json(value.data).encode(),
        }
        return _zip(parts)
    if isinstance(value, Skipped):
        return canonical_json({"reason": value.reason}).encode()
    if _is_table(value):
        return _parquet(value)
    if _is_tables(value):
        return _zip({f"{name}.parquet": _parquet(frame) for name, frame in value.items()})
    return canonical_json(value).encode()


def decode(kind: str, data: bytes) -> Any:
    """The value behind stored bytes of a kind that `describe` gave."""
    match kind:
        case "table":
            return _read_parquet(data)
        case "tables":
            parts = _unzip(data)
            return {
                name.removesuffix(".parquet"): _read_parquet(part) for name, part in parts.items()
            }
        case "report":
            parts = _unzip(data)
            return Report(parts["report.html"].decode(), json.loads(parts["data.json"]))
        case "files":
            parts = _unzip(data)
            version_of = json.loads(parts.pop("__version_of__"))
            return Files(parts, tuple(version_of))
        case "skipped":
            return Skipped(json.loads(data)["reason"])
        case "json":
            return json.loads(data)
    raise ValueError(f"an artifact of kind {kind!r} is from a newer version of iip_assets")


class ArtifactStore:
    """Values by content hash, under a folder or any URL that fsspec opens."""

    def __init__(self, location: str) -> None:
        self.location = location

    @property
    def root(self) -> UPath:
        """The folder."""
        from upath import UPath

        return UPath(self.location)

    @property
    def url(self) -> str | None:
        """The store's URL; None where it is a local folder."""
        return self.location if "://" in self.location else None

    def put(self, value: Any) -> Artifact:
        """Stores the value, unless it is there whole, and says where.

        Raises:
            TypeError: The value is of no kind that an asset may return.
        """
        kind, extension, content = _classify(value)
        data = encode(value)
        name = digest_bytes(data)
        artifact = Artifact(
            kind, digest_json([kind, content]), f"{name[:_FOLDER_LETTERS]}/{name}.{extension}"
        )
        if not self._is_whole(artifact):
            _write_whole(self.root / artifact.name, data)
        return artifact

    def has(self, artifact: Artifact) -> bool:
        """Whether the artifact is there. A plain stat where the store is a local folder."""
        if self.url is None:
            return os.path.exists(os.path.join(self.location, artifact.name))  # noqa: PTH110, PTH118 - called on every status
        return bool((self.root / artifact.name).exists())

    def get(self, artifact: Artifact) -> Any:
        """The stored value.

        Raises:
            DamagedArtifactError: The file is not there, holds other bytes than were stored, or is
                not readable as what it claims to be.
        """
        path = self.root / artifact.name
        try:
            data = path.read_bytes()
            if digest_bytes(data) != _digest_in(artifact.name):
                raise ValueError("its bytes are not those that were stored")
            return decode(artifact.kind, data)
        except Exception as error:
            raise DamagedArtifactError(
                f"cannot read the artifact {path} ({type(error).__name__}: {error}); "
                "delete that file and run `iip refresh`, which computes it again"
            ) from error

    def _is_whole(self, artifact: Artifact) -> bool:
        try:
            data = (self.root / artifact.name).read_bytes()
        except OSError:
            return False
        return digest_bytes(data) == _digest_in(artifact.name)

    def sizes(self) -> dict[str, int]:
        """Bytes of every artifact by name, and of what killed runs left of one; of nothing else."""
        if not self.root.exists():
            return {}
        return {
            name: file.stat().st_size
            for folder in self.root.iterdir()
            if len(folder.name) == _FOLDER_LETTERS and folder.is_dir()
            for file in folder.iterdir()
            if _OURS.fullmatch(name := f"{folder.name}/{file.name}") and file.is_file()
        }

    def delete(self, name: str) -> None:
        """Takes a file out of the store, by its name in `sizes`."""
        (self.root / name).unlink(missing_ok=True)

    def path(self, artifact: Artifact) -> str:
        """Where the artifact lies, for people."""
        return f"{self.location.rstrip('/')}/{artifact.name}"


def _digest_in(name: str) -> str:
    """The SHA-256 that an artifact's name states."""
    return name.rpartition("/")[2].partition(".")[0]


def _write_whole(path: UPath, data: bytes) -> None:
    """Writes a file so that it is there whole or not at all."""
    if path.protocol in ("", "file"):
        write_bytes_whole(Path(str(path)), data)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)  # object stores show a new object only when it is whole


def _classify(value: Any) -> tuple[str, str, str]:
    """Kind, file extension and the digest of what counts as content."""
    if isinstance(value, Files):
        names = value.version_of or sorted(value.parts)
        return (
            "files",
            "zip",
            digest_json({name: digest_bytes(value.parts[name]) for name in names}),
        )
    if isinstance(value, Report):
        return "report", "zip", digest_json(value.data)
    if isinstance(value, Skipped):
        return "skipped", "json", digest_json(value.reason)
    if _is_table(value):
        return "table", "parquet", digest_table(value)
    if _is_tables(value):
        return "tables", "zip", digest_tables(value)
    if isinstance(value, dict):
        return "json", "json", digest_json(value)
    raise TypeError(
        f"an asset returned {type(value).__name__}; it may return a polars DataFrame, "
        "a dict of them, a JSON-like dict, Report, Files or Skipped"
    )


def _is_table(value: Any) -> bool:
    return type(value).__module__.startswith("polars") and type(value).__name__ == "DataFrame"


def _is_tables(value: Any) -> bool:
    return (
        isinstance(value, dict) and bool(value) and all(_is_table(part) for part in value.values())
    )


def table_shape(value: Any) -> tuple[int | None, dict[str, str]]:
    """Rows of a table, or of the first of several, and the types of the columns by name.

    Of several tables a column's name stands after its table's and a dot.
    """
    tables = {"": value} if _is_table(value) else value if _is_tables(value) else {}
    columns = {
        f"{table}.{name}".removeprefix("."): str(dtype)
        for table, frame in tables.items()
        for name, dtype in frame.schema.items()
    }
    return next((frame.height for frame in tables.values()), None), columns


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()


def _read_parquet(data: bytes) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(io.BytesIO(data))


def _zip(parts: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(parts):
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), parts[name])
    return buffer.getvalue()


def _unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
