"""Adding one folder to the data that DVC tracks, through DVC's own classes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.errors import UserError
from iip_assets.images.data_listing import POINTER_FILE, read_pointer
from iip_assets.images.dvc_objects import open_repository

# How long another DVC process may hold its lock, such as a `dvc pull` of everything.
_PATIENCE_S = 600.0
_PAUSE_S = 0.5


class DvcRefusedError(UserError, RuntimeError):
    """DVC cannot add the folder, for a reason that does not lie in the folder."""


def add_folder(root: Path, folder: Path, *, log: Callable[[str], None]) -> str:
    """Brings a folder below the data folder into DVC's cache and into `data.dvc`.

    Only the entries of that folder change in `data.dvc`: the rest of the data need not be there,
    and what was edited in it stays as it was tracked. `data.dvc` is replaced whole, or not at all.

    Args:
        root: The workspace.
        folder: The folder.
        log: Told when another DVC process must be waited for.

    Returns:
        The new data version.

    Raises:
        DvcRefusedError: DVC's lock did not come free in ten minutes, or DVC failed; the words are
            its own.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc_objects.errors import ObjectDBError

    patience_ends = time.monotonic() + _PATIENCE_S
    told = False
    while True:
        try:
            with open_repository(root) as repository:
                _add(repository, root, folder)
            return read_pointer(root).md5
        except LockError as error:
            if time.monotonic() > patience_ends:
                raise DvcRefusedError(f"DVC is busy: {_words(error)}") from error
            if not told:
                log("waiting for another DVC process, which is at work in this repository")
            told = True
            time.sleep(_PAUSE_S)
        except (DvcException, ObjectDBError) as error:
            raise DvcRefusedError(f"DVC could not add {folder}: {_words(error)}") from error


def ignored_by_dvc(root: Path, paths: list[Path]) -> list[Path]:
    """Which of the paths DVC would leave out, because a `.dvcignore` says so."""
    with open_repository(root) as repository:
        return [path for path in paths if repository.dvcignore.is_ignored_file(str(path))]


def _add(repository: Any, root: Path, folder: Path) -> None:
    """`dvc add` of a folder inside a tracked one, but for how `data.dvc` is written.

    DVC writes it in place: killed at that moment, it would leave half a file.
    """
    from dvc.dvcfile import load_file
    from dvc.exceptions import CacheLinkError
    from dvc.repo import lock_repo
    from dvc.rwlock import RWLockFileCorruptedError, RWLockFileFormatError
    from dvc.stage.serialize import to_single_stage_file
    from dvc.utils.serialize import dumps_yaml

    with lock_repo(repository):
        stage = load_file(repository, str(root / POINTER_FILE)).stage
        try:
            stage.add_outs(str(folder))
        except CacheLinkError:
            # All is in the cache; only the folder's files are copies where links were wished for.
            pass
        except (RWLockFileCorruptedError, RWLockFileFormatError):
            # DVC's note of who reads and writes, cut short by a kill; the lock itself is ours.
            (Path(repository.tmp_dir) / "rwlock").unlink(missing_ok=True)
            stage.add_outs(str(folder))
        write_text_whole(root / POINTER_FILE, dumps_yaml(to_single_stage_file(stage)))


def _words(error: Exception) -> str:
    return " ".join(str(error).split())
