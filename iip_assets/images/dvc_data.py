"""What DVC tracks: `data.dvc`, the manifest of all files under `data/`, and DVC's objects.

`data.dvc` is read without DVC. With `ingest.data_commit`, this is the one file that knows DVC's
Python interface (checked against 3.67).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iip_assets.errors import UserError

if TYPE_CHECKING:
    import polars as pl

POINTER_FILE = "data.dvc"
CLASH = "ours: "
"""After git's first conflict marker, where both sides changed the same files: before which."""

_DIRECTORY_MD5 = re.compile(r"[0-9a-f]{32}\.dir")
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)
_CLASH = re.compile(rf"^<{{7}} {CLASH}(.+)", re.MULTILINE)

_MD5 = re.compile(r"[0-9a-f]{32}")
_OUTSIDE = re.compile(r"(^|/)\.{1,2}(/|$)|^/|^$|//|/$|\0")


class BadPointer(ValueError):
    """`data.dvc` is missing or does not name one folder; the message says how to fix it."""


@dataclass(frozen=True, slots=True)
class DataPointer:
    """What `data.dvc` names.

    Attributes:
        md5: md5 of the folder's listing, ending in `.dir`.
        path: The folder, relative to the workspace.
    """

    md5: str
    path: str


def read_pointer(root: Path) -> DataPointer:
    """The folder that the workspace at `root` tracks.

    Raises:
        BadPointer: `data.dvc` is missing, in conflict, no YAML, or names something other than one
            folder.
    """
    file = root / POINTER_FILE
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise BadPointer(
            f"{file} is missing: no data is tracked here. Put the batches under {root / 'data'} "
            "and run `dvc add data`, or `iip init` for a new workspace"
        ) from error
    except UnicodeDecodeError as error:
        raise _mend(str(file), "is not text", "`git checkout data.dvc`") from error
    return parse_pointer(text, str(file))


def parse_pointer(text: str, file: str) -> DataPointer:
    """The folder that the text of a `data.dvc` names; `file` is its name, for messages.

    Raises:
        BadPointer: It is in conflict, no YAML, or names something other than one folder.
    """
    if clash := _CLASH.search(text):
        raise _mend(
            file,
            f"has merge conflict markers: {clash[1]}",
            "`git checkout --ours data.dvc` (the data of the checked-out side, `--theirs` those of "
            "the other), `git add data.dvc`, `dvc checkout`, then end the merge. A batch of the "
            "side that was not chosen comes back by `dvc get . data/batches/BATCH --rev COMMIT -o "
            "inbox/NEW-NAME` and `iip ingest inbox/NEW-NAME`; after a merge, `iip doctor` names "
            "these batches and commits",
        )
    if _CONFLICT.search(text):
        raise _mend(
            file,
            "has merge conflict markers",
            "`iip doctor --fix` lets git join the data of both sides; then `git checkout --merge "
            "data.dvc`, `git add data.dvc` and `dvc checkout`. A side that is chosen instead "
            "leaves the other one's batches out",
        )
    return _pointer_of(file, _parse(file, text))


def _mend(file: str, what: str, how: str) -> BadPointer:
    return BadPointer(f"{file} {what}. To fix it: {how}")


def _parse(file: str, text: str) -> Any:
    import yaml

    # libyaml's loader is ten times as fast where it is built in.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - both loaders are the safe ones
    except yaml.YAMLError as error:
        first = " ".join(str(error).split())[:200]
        raise _mend(
            file, f"is not YAML ({first})", "`git checkout data.dvc` or `dvc add data`"
        ) from error


def _pointer_of(file: str, content: Any) -> DataPointer:
    outs = content.get("outs") if isinstance(content, dict) else None
    if not isinstance(outs, list) or len(outs) != 1 or not isinstance(outs[0], dict):
        raise _mend(file, "does not name exactly one tracked folder under `outs`", "`dvc add data`")
    out = outs[0]
    md5, path = out.get("md5"), out.get("path")
    if not isinstance(path, str) or not path:
        raise _mend(file, "has no `path`", "`dvc add data`")
    if not isinstance(md5, str):
        raise _mend(
            file,
            "has no `md5` (a version-aware remote lists files one by one, which is not supported)",
            "track the folder in DVC's own cache with `dvc add data`",
        )
    if re.fullmatch(r"[0-9a-f]{32}", md5):
        raise _mend(
            file,
            f"tracks {path!r} as a single file, a folder was expected",
            "`dvc remove data.dvc`, make `data` a folder, `dvc add data`",
        )
    if not _DIRECTORY_MD5.fullmatch(md5):
        raise _mend(file, f"has md5 {md5!r}, expected 32 hex digits and `.dir`", "`dvc add data`")
    if out.get("hash") != "md5":
        # DVC 2 hashed text with its line ends changed: such an md5 is not that of the bytes.
        raise _mend(file, "was written by DVC 2", "`dvc cache migrate --dvc-files`")
    return DataPointer(md5=md5, path=path)


class BadManifest(ValueError):
    """The listing of the data folder is damaged or names a path outside it."""


def observe_data(root: Path) -> str:
    """The data version of the workspace at `root`: the md5 in `data.dvc`."""
    return read_pointer(root).md5


def data_version_at(text_of: Callable[[str], str]) -> str:
    """The data version at a git revision, of which `text_of` gives the text of a file."""
    return parse_pointer(text_of(POINTER_FILE), POINTER_FILE).md5


class MissingData(UserError, RuntimeError):
    """Objects that the data needs are neither in the DVC cache nor to be had from the remote."""


@contextmanager
def open_repository(root: Path) -> Iterator[Any]:
    """DVC's `Repo` of the workspace at `root`, closed afterwards.

    Raises:
        MissingData: `root` is not inside a DVC repository.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import NoSCM

    try:
        # Objects are found without git: DVC need not open that repository too.
        repository = Repo(str(root), scm=NoSCM())
    except NotDvcRepoError as error:
        raise MissingData(
            f"{root} is no DVC repository: run `iip init {root}`, or `dvc init` in it"
        ) from error
    with repository:
        yield repository


def object_path(repository: Any, md5: str) -> Path:
    """Where the local cache holds, or would hold, the object."""
    return Path(repository.cache.local.oid_to_path(md5))


def fetch_objects(repository: Any, md5s: Sequence[str]) -> None:
    """Brings objects from the default remote into the local cache, all in one transfer.

    Raises:
        MissingData: No remote is set, it cannot be reached, or it lacks some of the objects.
    """
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_objects.errors import ObjectDBError

    try:
        repository.cloud.pull([HashInfo("md5", md5) for md5 in sorted(set(md5s))])
    except (DvcException, ObjectDBError, OSError) as error:
        reason = " ".join(str(error).split())
        raise MissingData(
            f"{_counted(md5s)} not in the DVC cache, and the remote gave none: {reason}. "
            "Set a remote that holds the data (`dvc remote default`), then run `dvc pull`"
        ) from error
    absent = [md5 for md5 in md5s if not os.path.lexists(object_path(repository, md5))]
    if absent:
        raise MissingData(
            f"{_counted(absent)} neither in the DVC cache nor on the remote. "
            "Whoever added the data must run `dvc push`; then run `dvc pull` here"
        )


def _counted(md5s: Sequence[str]) -> str:
    if len(md5s) == 1:
        return f"object {md5s[0]} is"
    return f"{len(md5s)} objects (first {min(md5s)}) are"


def read_manifest(root: Path, md5: str) -> pl.DataFrame:
    """Path and md5 of every file of a data version (an md5 that ends in `.dir`), sorted by path.

    Paths are relative to `data/`. The listing is fetched from the remote where needed; older
    versions work as long as cache or remote hold them.

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
    """DVC's JSON listing of a folder, the `.dir` object of this md5: path and md5, by path.

    Raises:
        BadManifest: It is another listing, or none, or a path in it leaves the folder or stands
            twice.
    """
    import polars as pl

    found = hashlib.md5(listing, usedforsecurity=False).hexdigest()
    if f"{found}.dir" != md5:
        raise BadManifest(
            f"the listing {md5} of the data folder is damaged (its bytes have the md5 {found}): "
            f"delete {md5[:2]}/{md5[2:]} in the DVC cache and run `dvc fetch`"
        )
    try:
        entries = json.loads(listing)
        pairs = sorted((_checked_path(entry, md5), _checked_md5(entry, md5)) for entry in entries)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, BadManifest):
            raise
        raise BadManifest(
            f"the listing {md5} of the data folder is none ({error}): run `dvc add data` again"
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
