"""Which batches differ between two data versions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iip_assets.dataset.layout import batch_of
from iip_assets.images.data_listing import BadManifest, parse_manifest
from iip_assets.images.dvc_objects import MissingData, object_path, open_repository


def changed_batches(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Batches of which a file came, went or changed, by name.

    Args:
        before: Path to md5.
        now: Likewise.
    """
    differ = before.items() ^ now.items()
    return tuple(sorted({batch for path, _ in differ if (batch := batch_of(path))}))


def batches_between(root: Path, before: str | None, now: str) -> tuple[str, ...]:
    """Batches that differ between two data versions, as far as the DVC cache knows these.

    Nothing is fetched: this is for a word to people, who need not wait for it.

    Args:
        root: The workspace.
        before: md5 of the older version, None where there was none.
        now: md5 of the newer one.
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
