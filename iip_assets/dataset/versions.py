"""What a data version holds, what two of them differ in, and whether `data/` is what DVC tracks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.dataset.layout import batch_of, is_image_path
from iip_assets.dataset.schema import MASKS_FOLDER
from iip_assets.images.dvc_data import (
    BadManifest,
    MissingData,
    object_path,
    open_repository,
    parse_manifest,
    read_manifest,
)
from iip_assets.images.store import ImageStore, file_md5

if TYPE_CHECKING:
    import polars as pl

# Files of `data/` that are read at once.
_READERS = 4


def changed_batches(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Batches of which a file (path to md5) came, went or changed, by name."""
    differ = before.items() ^ now.items()
    return tuple(sorted({batch for path, _ in differ if (batch := batch_of(path))}))


def batches_between(root: Path, before: str | None, now: str) -> tuple[str, ...]:
    """Batches that differ between two data versions, as far as the DVC cache knows these.

    Nothing is fetched: this is for a word to people, who need not wait for it. `before` is None
    where there was no data.
    """
    if before == now:
        return ()
    try:
        with open_repository(root) as repository:
            listings = [
                parse_manifest(object_path(repository, md5).read_bytes(), md5)
                for md5 in ((before, now) if before else (now,))
            ]
    except (MissingData, BadManifest, OSError):
        return ()
    paths = [dict(listing.iter_rows()) for listing in listings]
    return changed_batches(paths[0] if before else {}, paths[-1])


def data_ids(root: Path, md5: str) -> frozenset[str] | None:
    """The md5 of every file of a data version; None where its listing is nowhere any more."""
    manifest = _manifest(root, md5)
    return None if manifest is None else frozenset(manifest.values())


def data_rows(root: Path, md5: str) -> pl.DataFrame | None:
    """`image_id` and `mask_id` of every image of a data version; None where it is nowhere any more.

    They are what `raw_dataset` will have: masks are found in the batches' rows.
    """
    from iip_assets.dataset.raw import files_to_read, join_labels

    manifest = _manifest(root, md5)
    if manifest is None:
        return None
    store = ImageStore.open(root)
    try:
        store.fetch(files_to_read(manifest))
        return join_labels(manifest, store.read).images.select("image_id", "mask_id")
    except MissingData:
        return None


def describe_change(root: Path, before: str, after: str) -> list[str]:
    """In what two data versions differ, a line for each batch; none where one is nowhere any more.

    A file whose bytes lie elsewhere in the other version has moved.
    """
    was, is_now = _manifest(root, before), _manifest(root, after)
    if was is None or is_now is None:
        return []
    elsewhere = set(was.values()) & set(is_now.values())
    counts: dict[str, Counter[str]] = {}
    for path in sorted(was.keys() | is_now.keys()):
        old, new = was.get(path), is_now.get(path)
        if old == new:
            continue
        if old and new:
            word = "changed"
        elif (old or new) in elsewhere:
            # Told once, where it went.
            word = "moved here" if new else ""
        else:
            word = "added" if new else "removed"
        if word:
            batch = batch_of(path) or "outside of batches"
            counts.setdefault(batch, Counter())[f"{_kind(path)} {word}"] += 1
    return [
        f"{batch}: " + ", ".join(f"{count} {what}" for what, count in found.items())
        for batch, found in counts.items()
    ]


def _kind(path: str) -> str:
    if is_image_path(path):
        return "images"
    return "masks" if MASKS_FOLDER in path.split("/") else path.rpartition("/")[2]


def _manifest(root: Path, md5: str) -> dict[str, str] | None:
    try:
        return dict(read_manifest(root, md5).select("path", "md5").iter_rows())
    except MissingData:
        return None


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
    progress: Callable[[int, int], None] | None = None,
) -> FolderDifference:
    """Compare the files in `root/folder` with the manifest (path, md5), by the md5 of their bytes.

    `progress` is called with files done and files in all.
    """
    base = root / folder
    present = _files_below(root, base)
    tracked = dict(manifest.select("path", "md5").iter_rows())
    both = sorted(present & tracked.keys())
    modified = []
    with ThreadPoolExecutor(max_workers=_READERS) as pool:
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
        return file_md5(path)
    except FileNotFoundError:  # a dead link, or deleted since it was listed
        return "missing"
