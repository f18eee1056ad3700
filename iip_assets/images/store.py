"""Bytes by md5: from the DVC cache, or from `data/` where a file there has just those bytes."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from iip_assets.images.dvc_data import (
    BadManifest,
    BadPointer,
    MissingData,
    fetch_objects,
    object_path,
    open_repository,
    read_manifest,
    read_pointer,
)


class Reader(Protocol):
    """Gives bytes by md5, as `ImageStore` does."""

    def read(self, md5: str) -> bytes:
        """The bytes."""
        ...


class Store(Reader, Protocol):
    """Gives bytes that may lie elsewhere still."""

    def fetch(self, md5s: Sequence[str]) -> None:
        """Brings what is not here yet."""
        ...


def content_md5(data: bytes) -> str:
    """md5 of the bytes, which is the id of an image and DVC's name of its object."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def file_md5(path: Path) -> str:
    """md5 of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@dataclass
class ImageStore:
    """Reads tracked files by md5; what it returns always has that md5. Safe to use from threads.

    Attributes:
        root: The workspace.
        cache: The folder of the DVC cache, with the objects in `<two digits>/<thirty digits>`.
    """

    root: Path
    cache: Path
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _paths: dict[str, list[Path]] | None = field(default=None, repr=False)

    @classmethod
    def open(cls, root: Path) -> ImageStore:
        """The store of the workspace at `root`.

        Raises:
            MissingData: `root` is not inside a DVC repository.
        """
        with open_repository(root) as repository:
            # The cache's own layout: two digits of the md5 name the folder.
            return cls(root=root, cache=object_path(repository, "0" * 32).parent.parent)

    def fetch(self, md5s: Sequence[str]) -> None:
        """Brings from the DVC remote what neither the cache nor `data/` has, in one transfer.

        Raises:
            MissingData: The remote cannot be reached or lacks some of them.
        """
        absent = [md5 for md5 in dict.fromkeys(md5s) if not self._cached(md5).exists()]
        wanted = [md5 for md5 in absent if self._from_folder(md5) is None]
        if wanted:
            # DVC's transfer is not made for several threads at once.
            with self._lock, open_repository(self.root) as repository:
                fetch_objects(repository, wanted)

    def read(self, md5: str) -> bytes:
        """The bytes with that md5. An edited file in `data/` is never taken for what it was.

        Raises:
            MissingData: Neither the cache nor `data/` has them; `fetch` first.
        """
        cached = self._cached(md5)
        try:
            data = cached.read_bytes()
        except FileNotFoundError:
            found = self._from_folder(md5)
            if found is not None:
                return found
            raise MissingData(
                f"{self._named(md5)} is not in the DVC cache ({cached}): run `dvc pull`"
            ) from None
        if content_md5(data) == md5:
            return data
        found = self._from_folder(md5)
        if found is not None:
            return found
        raise MissingData(
            f"{self._named(md5)} was changed inside the DVC cache: delete {cached} and run "
            "`dvc pull`. With `cache.type` hardlink or symlink, run `dvc unprotect` before editing "
            "a file in data/"
        )

    def _cached(self, md5: str) -> Path:
        return self.cache / md5[:2] / md5[2:]

    def _from_folder(self, md5: str) -> bytes | None:
        for path in self._folder_paths().get(md5, ()):
            try:
                data = path.read_bytes()
            except OSError:  # not checked out, or a dead link into the cache
                continue
            if content_md5(data) == md5:
                return data
        return None

    def _folder_paths(self) -> dict[str, list[Path]]:
        with self._lock:
            if self._paths is None:
                self._paths = self._read_folder_paths()
            return self._paths

    def _read_folder_paths(self) -> dict[str, list[Path]]:
        try:
            pointer = read_pointer(self.root)
            manifest = read_manifest(self.root, pointer.md5)
        except (BadManifest, BadPointer, MissingData):
            # The folder is only a second source; without a listing the remote remains.
            return {}
        paths: dict[str, list[Path]] = {}
        for path, md5 in manifest.iter_rows():
            paths.setdefault(md5, []).append(self.root / pointer.path / path)
        return paths

    def _named(self, md5: str) -> str:
        known = self._folder_paths().get(md5)
        return f"{known[0].relative_to(self.root)} (md5 {md5})" if known else f"object {md5}"
