"""DVC's object store through DVC's own classes: where objects lie, and bringing missing ones.

With `ingest.data_commit`, the one file that knows DVC's Python interface (checked against 3.67).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iip_assets.errors import UserError


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
