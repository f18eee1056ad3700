"""Git's index, changed in a way that a kill leaves nothing behind that stops others.

Git's commands hold `.git/index.lock` while they work, hooks included. Killed, they leave it, and
nobody can commit until someone deletes it, which nobody dares who cannot tell whose it is. Here the
new index is made in a private folder and has that name for a moment only, as a second name of the
private file: by that, the next ingest knows a lock as its own.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from iip_assets.images.data_listing import POINTER_FILE
from iip_assets.ingest.git_command import run_git

# How long somebody else may hold the index, such as a `git add`.
_PATIENCE_S = 10.0
_PAUSE_S = 0.2
# Git itself waits a tenth of a second for another's lock of a branch, and then gives up.
_BRANCH_LOCK_S = 10.0
_INDEX = "index"
_COMMIT_INDEX = "commit-index"


def commit_index(root: Path, place: Path) -> dict[str, str]:
    """The environment in which git sees the checked-out commit with `data.dvc` as it is now.

    Args:
        root: The workspace.
        place: A private folder, for an index that holds just that.
    """
    environment = {"GIT_INDEX_FILE": str(place / _COMMIT_INDEX)}
    if run_git(root, "read-tree", "HEAD", environment=environment).returncode:
        run_git(root, "read-tree", "--empty", environment=environment)  # the first commit
    run_git(root, "add", "--", POINTER_FILE, environment=environment)
    return environment


def stage_pointer(root: Path, place: Path) -> bool:
    """Stages `data.dvc`; False where somebody else held the index all the time.

    Args:
        root: The workspace.
        place: A private folder.
    """
    index, private = _git_path(root, "index"), place / _INDEX
    lock = index.with_name("index.lock")
    patience_ends = time.monotonic() + _PATIENCE_S
    while time.monotonic() < patience_ends:
        before = _stamp(index)
        if before is not None:
            shutil.copyfile(index, private)
        run_git(root, "add", "--", POINTER_FILE, environment={"GIT_INDEX_FILE": str(private)})
        try:
            lock.hardlink_to(private)
        except FileExistsError:
            time.sleep(_PAUSE_S)
            continue
        except OSError:  # on another disk, or one without links
            return run_git(root, "add", "--", POINTER_FILE).returncode == 0
        if _stamp(index) == before:
            lock.rename(index)
            return True
        lock.unlink()
        private.unlink()
    return False


def free_locks(root: Path, places: Iterable[Path]) -> None:
    """Takes away the locks of git that killed ingests left, and no one else's.

    Args:
        root: The workspace.
        places: The private folders of the killed ingests.
    """
    for place in places:
        lock = _git_path(root, "index.lock")
        if (place / _INDEX).exists() and lock.exists() and lock.samefile(place / _INDEX):
            lock.unlink()
        if (place / _COMMIT_INDEX).exists():
            branch = run_git(root, "symbolic-ref", "--quiet", "HEAD").stdout.strip()
            for name in ("HEAD", *([branch] if branch else [])):
                _free_branch_lock(_git_path(root, f"{name}.lock"))


def _free_branch_lock(lock: Path) -> None:
    """A lock of a branch is held for milliseconds: one that stays has no living owner."""
    patience_ends = time.monotonic() + _BRANCH_LOCK_S
    stamp = _stamp(lock)
    while stamp is not None and _stamp(lock) == stamp:
        if time.monotonic() > patience_ends:
            lock.unlink(missing_ok=True)
        time.sleep(_PAUSE_S)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _git_path(root: Path, name: str) -> Path:
    return root / run_git(root, "rev-parse", "--git-path", name).stdout.strip()
