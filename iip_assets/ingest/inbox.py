"""The inbox: which batches wait there, told without a look into an image: a sensor may ask."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from iip_assets.dataset.schema import ANNOTATIONS_FILE, LABELS_FILE
from iip_assets.ingest.batch_files import READY_FILE, list_batch

INBOX_FOLDER = "inbox"
REJECTED_FOLDER = "rejected"


@dataclass(frozen=True)
class WaitingBatch:
    """A batch that is whole and waits.

    Attributes:
        name: The folder's name.
        folder: Where it lies.
        fingerprint: Another one for every drop, even of the same files.
    """

    name: str
    folder: Path
    fingerprint: str


def waiting_batches(root: Path) -> list[WaitingBatch]:
    """The folders of the inbox that have READY, in the order of their names; no image is read."""
    inbox = root / INBOX_FOLDER
    try:
        folders = sorted(inbox.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    waiting: list[WaitingBatch] = []
    for folder in folders:
        if folder.name.startswith(".") or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            fingerprint = _fingerprint(folder)
        except OSError:  # taken or moved while we looked
            continue
        if fingerprint is not None:
            waiting.append(WaitingBatch(folder.name, folder, fingerprint))
    return waiting


def _fingerprint(folder: Path) -> str | None:
    try:
        ready = (folder / READY_FILE).lstat()
    except FileNotFoundError:
        return None
    hasher = hashlib.sha256(f"{ready.st_ctime_ns}\n".encode())
    for file in list_batch(folder, folder.name).files:
        hasher.update(f"{file.path}\n{file.size}\n".encode("utf-8", "surrogateescape"))
        if file.path in (LABELS_FILE, ANNOTATIONS_FILE):
            with (folder / file.path).open("rb") as labels:
                hasher.update(hashlib.file_digest(labels, "sha256").digest())
    return hasher.hexdigest()
