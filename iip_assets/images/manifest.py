"""The manifest: path and md5 of every file that DVC tracks under `data/`, no file touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.images.dvc_objects import fetch_objects, object_path, open_repository
from iip_assets.images.pointer import POINTER_FILE, parse_pointer, read_pointer

if TYPE_CHECKING:
    import polars as pl

_MD5 = re.compile(r"[0-9a-f]{32}")
_OUTSIDE = re.compile(r"(^|/)\.{1,2}(/|$)|^/|^$|//|/$|\0")


class BadManifest(ValueError):
    """The listing of the data folder is damaged or names a path outside it."""


def observe_data(root: Path) -> str:
    """The data version of the workspace at `root`: the md5 in `data.dvc`."""
    return read_pointer(root).md5


def data_version_at(text_of: Callable[[str], str]) -> str:
    """The data version at a git revision.

    Args:
        text_of: Gives the text of a file of the workspace there.
    """
    return parse_pointer(text_of(POINTER_FILE), POINTER_FILE).md5


def load_data(root: Path, md5: str) -> pl.DataFrame:
    """The manifest of one data version; see `read_manifest`."""
    return read_manifest(root, md5)


def read_manifest(root: Path, md5: str) -> pl.DataFrame:
    """Path and md5 of every file of the data version `md5`, fetched from the remote where needed.

    Args:
        root: The workspace.
        md5: As in `data.dvc`, ending in `.dir`. Older versions work as long as cache or remote hold
            them.

    Returns:
        Columns path (relative to `data/`, forward slashes) and md5, sorted by path.

    Raises:
        MissingData: Neither cache nor remote has the listing.
        BadManifest: The listing is damaged, or a path in it leaves the folder.
    """
    with open_repository(root) as repository:
        file = object_path(repository, md5)
        if not file.exists():
            fetch_objects(repository, [md5])
        listing = file.read_bytes()
    return parse_manifest(listing, md5)


def parse_manifest(listing: bytes, md5: str) -> pl.DataFrame:
    """Parse DVC's JSON listing of a folder.

    Args:
        listing: The bytes of the `.dir` object.
        md5: Its name, for the message.

    Returns:
        Columns path and md5, sorted by path.

    Raises:
        BadManifest: It is no such listing, or a path in it leaves the folder or stands twice.
    """
    import polars as pl

    try:
        entries = json.loads(listing)
        pairs = sorted((_checked_path(entry, md5), _checked_md5(entry, md5)) for entry in entries)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, BadManifest):
            raise
        raise BadManifest(
            f"the listing {md5} of the data folder is damaged ({error}): remove it from the "
            "DVC cache and run `dvc fetch`"
        ) from error
    paths = [path for path, _ in pairs]
    if len(set(paths)) != len(paths):
        raise BadManifest(f"the listing {md5} names a path twice: run `dvc add data` again")
    return pl.DataFrame(
        {"path": paths, "md5": [digest for _, digest in pairs]},
        schema={"path": pl.Utf8, "md5": pl.Utf8},
    )


def _checked_path(entry: Any, md5: str) -> str:
    path = entry["relpath"]
    if not isinstance(path, str) or _OUTSIDE.search(path):
        raise BadManifest(
            f"the listing {md5} names {path!r}, which is no plain path inside the data folder: "
            "someone wrote it by hand; run `dvc add data` again"
        )
    return path


def _checked_md5(entry: Any, md5: str) -> str:
    digest = entry["md5"]
    if not isinstance(digest, str) or not _MD5.fullmatch(digest):
        raise BadManifest(
            f"the listing {md5} gives {entry['relpath']!r} the md5 {digest!r}, "
            "expected 32 hex digits"
        )
    return digest
