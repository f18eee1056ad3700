"""What the data holds now, as far as a new batch must be held against it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from iip_assets.dataset.layout import sort_out
from iip_assets.images.data_listing import DataPointer, read_manifest, read_pointer
from iip_assets.images.store import ImageStore


@dataclass(frozen=True)
class PresentData:
    """The data that DVC tracks.

    Attributes:
        images: Image id to the first path under `data/` that has it.
        batches: Batch name to path within the batch to md5.
        read: Tracked bytes by md5, brought from the remote where needed.
    """

    images: Mapping[str, str]
    batches: Mapping[str, Mapping[str, str]]
    read: Callable[[str], bytes]


def read_present(root: Path, pointer: DataPointer | None = None) -> PresentData:
    """What the workspace's `data.dvc` names, or another pointer of the same data.

    Raises:
        BadPointer: `data.dvc` cannot be used.
        BadManifest: The listing that it names is damaged.
        MissingData: Neither cache nor remote has that listing.
    """
    pointer = pointer or read_pointer(root)
    return present_data(
        dict(read_manifest(root, pointer.md5).iter_rows()), read=lambda md5: _read(root, md5)
    )


def present_data(manifest: Mapping[str, str], *, read: Callable[[str], bytes]) -> PresentData:
    """The files of a manifest (path to md5), sorted out."""
    layout = sort_out(manifest)
    images: dict[str, str] = {}
    for path, md5 in layout.images.items():
        images.setdefault(md5, path)
    return PresentData(images, layout.batches, read)


def _read(root: Path, md5: str) -> bytes:
    store = ImageStore.open(root)
    store.fetch([md5])
    return store.read(md5)
