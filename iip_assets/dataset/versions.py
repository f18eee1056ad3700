"""What a data version holds, and in what two of them differ: for plans, reasons and cleaning up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.dataset.constants import MASKS_FOLDER
from iip_assets.dataset.layout import batch_of, is_image_path
from iip_assets.images.data_listing import read_manifest
from iip_assets.images.dvc_objects import MissingData

if TYPE_CHECKING:
    import polars as pl


def data_ids(root: Path, md5: str) -> frozenset[str] | None:
    """The md5 of every file of a data version; None where its listing is nowhere any more."""
    manifest = _manifest(root, md5)
    return None if manifest is None else frozenset(manifest.values())


def data_rows(root: Path, md5: str) -> pl.DataFrame | None:
    """`image_id` and `mask_id` of every image of a data version; None where it is nowhere any more.

    They are what `raw_dataset` will have: masks are found in the batches' rows.
    """
    from iip_assets.dataset.raw import files_to_read, join_labels
    from iip_assets.images.store import ImageStore

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
