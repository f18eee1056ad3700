"""Is the folder `data/` what DVC tracks? For `iip doctor`; the graph reads only tracked bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.images.dvc_objects import open_repository

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class FolderDifference:
    """How `data/` differs from the manifest; paths are relative to `data/`, sorted.

    Attributes:
        modified: Tracked, but the bytes are others. The graph goes on using the tracked bytes.
        missing: Tracked, but not there.
        untracked: There, but not tracked; files that `.dvcignore` names do not count.
    """

    modified: tuple[str, ...]
    missing: tuple[str, ...]
    untracked: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether the folder is just what DVC tracks."""
        return not (self.modified or self.missing or self.untracked)


def compare_folder(
    root: Path,
    manifest: pl.DataFrame,
    *,
    folder: str = "data",
    threads: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> FolderDifference:
    """Compare the files in `root/folder` with the manifest, by the md5 of their bytes.

    Args:
        root: The workspace.
        manifest: Columns path and md5.
        folder: The tracked folder.
        threads: Files read at once.
        progress: Called with files done and files in all.
    """
    base = root / folder
    present = _files_below(root, base)
    tracked = dict(manifest.select("path", "md5").iter_rows())
    both = sorted(present & tracked.keys())
    modified = []
    with ThreadPoolExecutor(max_workers=threads) as pool:
        digests = pool.map(_file_md5, (base / path for path in both))
        for done, (path, digest) in enumerate(zip(both, digests, strict=True), start=1):
            if digest != tracked[path]:
                modified.append(path)
            if progress is not None:
                progress(done, len(both))
    return FolderDifference(
        modified=tuple(modified),
        missing=tuple(sorted(tracked.keys() - present)),
        untracked=tuple(sorted(present - tracked.keys())),
    )


def _files_below(root: Path, base: Path) -> set[str]:
    if not base.is_dir():
        return set()
    with open_repository(root) as repository:
        found = repository.dvcignore.find(repository.fs, str(base))
        return {Path(path).relative_to(base).as_posix() for path in found}


def _file_md5(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except FileNotFoundError:  # a dead link, or deleted since it was listed
        return "missing"
