"""A batch's way into the data that DVC tracks, and `data.dvc`, and nothing else, into git.

Git's commands hold `.git/index.lock` while they work, hooks included. Killed, they leave it, and
nobody can commit until someone deletes it, which nobody dares who cannot tell whose it is. Here the
new index is made in a private folder and has that name for a moment only, as a second name of the
private file: by that, the next ingest knows a lock as its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from iip_assets.engine.atomic import write_text_whole
from iip_assets.errors import UserError
from iip_assets.images.dvc_data import POINTER_FILE, open_repository, read_pointer

# A hook may run tests.
_GIT_PATIENCE_S = 600

# How long somebody else may hold the index, such as a `git add`.
_PATIENCE_S = 10.0
_PAUSE_S = 0.2

# Git itself waits a tenth of a second for another's lock of a branch, and then gives up.
_BRANCH_LOCK_S = 10.0
_INDEX = "index"
_COMMIT_INDEX = "commit-index"

# How long another DVC process may hold its lock, such as a `dvc pull` of everything.
_DVC_PATIENCE_S = 600.0
_DVC_PAUSE_S = 0.5
# What git keeps in its folder from the beginning to the end of an operation.
_OPERATIONS = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase or `git am`",
    "sequencer": "a cherry-pick or revert of several commits",
    "BISECT_LOG": "a bisect",
}
_STRANGER = {
    "GIT_AUTHOR_NAME": "iip ingest",
    "GIT_AUTHOR_EMAIL": "iip@localhost",
    "GIT_COMMITTER_NAME": "iip ingest",
    "GIT_COMMITTER_EMAIL": "iip@localhost",
}


def run_git(
    root: Path, *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a git command to its end; a git that is missing or hangs is a return code too."""
    # What only looks takes no lock that a kill would leave behind.
    command = ("git", "--no-optional-locks", *words)
    try:
        return subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_GIT_PATIENCE_S,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")
    except subprocess.TimeoutExpired:
        reason = f"git did not end within {_GIT_PATIENCE_S} s"
        return subprocess.CompletedProcess(command, 124, "", reason)


class GitBusyError(UserError, RuntimeError):
    """Git is in the middle of an operation, of which a commit would become a part."""


def git_operation(root: Path) -> str | None:
    """What git is in the middle of at `root`, in words; None where a commit would be one of ours.

    A commit during a merge ends it, without what it was to bring; during a cherry-pick it takes
    the other commit's author; during a rebase or a bisect it is lost when that is given up.
    """
    names = [word for name in _OPERATIONS for word in ("--git-path", name)]
    places = run_git(root, "rev-parse", *names).stdout.splitlines()
    for place, words in zip(places, _OPERATIONS.values(), strict=False):
        if (root / place).exists():
            return words
    unmerged = run_git(root, "ls-files", "--unmerged").stdout
    return "a merge with files in conflict" if unmerged else None


def refuse_git_operation(root: Path) -> None:
    """Refuses to change `data.dvc` while git is in the middle of something.

    Raises:
        GitBusyError: It is.
    """
    if operation := git_operation(root):
        raise GitBusyError(
            f"git is in the middle of {operation} in {root}: end it or give it up (`git status` "
            "tells how), then run this again. Nothing was changed"
        )


def commit_index(root: Path, place: Path) -> dict[str, str]:
    """The environment in which git sees the checked-out commit with `data.dvc` as it is now.

    The index that holds just that lies in the private folder `place`.
    """
    environment = {"GIT_INDEX_FILE": str(place / _COMMIT_INDEX)}
    if run_git(root, "read-tree", "HEAD", environment=environment).returncode:
        run_git(root, "read-tree", "--empty", environment=environment)  # the first commit
    run_git(root, "add", "--", POINTER_FILE, environment=environment)
    return environment


def stage_pointer(root: Path, place: Path) -> bool:
    """Stages `data.dvc`; False where somebody else held the index all the time.

    The new index is made in the private folder `place`.
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
    """Takes away the locks of git that killed ingests left, by their private folders; no others."""
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


class DvcRefusedError(UserError, RuntimeError):
    """DVC cannot add the folder, for a reason that does not lie in the folder."""


def add_folder(root: Path, folder: Path, *, log: Callable[[str], None]) -> str:
    """Brings a folder below the data folder into DVC's cache and into `data.dvc`.

    Only the entries of that folder change in `data.dvc`: the rest of the data need not be there,
    and what was edited in it stays as it was tracked. `data.dvc` is replaced whole, or not at all.
    Gives the new data version.

    Raises:
        DvcRefusedError: DVC's lock did not come free in ten minutes, or DVC failed; the words are
            its own.
    """
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc_objects.errors import ObjectDBError

    patience_ends = time.monotonic() + _DVC_PATIENCE_S
    waited = False
    while True:
        try:
            with open_repository(root) as repository:
                _add(repository, root, folder)
            return read_pointer(root).md5
        except LockError as error:
            if time.monotonic() > patience_ends:
                raise DvcRefusedError(f"DVC is busy: {_words(error)}") from error
            if not waited:
                log("waiting for another DVC process, which is at work in this repository")
            waited = True
            time.sleep(_DVC_PAUSE_S)
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


def commit_pointer(
    root: Path, message: str, *, place: Path, log: Callable[[str], None]
) -> str | None:
    """Commits `data.dvc` alone and gives the commit, None where there is none.

    What else is staged stays staged. The data are taken whether git likes it or not, so a refusal
    is logged and is no error. `place` is a private folder.
    """
    if not _is_in_git(root):
        log(f"{root} is not under git, so {POINTER_FILE} was not committed")
        return None
    if operation := git_operation(root):
        log(
            f"{POINTER_FILE} was not committed, since git is in the middle of {operation}. The "
            f"batch is in the data all the same; end that, then `git commit {POINTER_FILE}`"
        )
        return None
    known = run_git(root, "var", "GIT_COMMITTER_IDENT").returncode == 0
    environment = commit_index(root, place) | ({} if known else _STRANGER)
    if not run_git(root, "diff", "--cached", "--quiet", environment=environment).returncode:
        settle_index(root, place=place)
        return None
    done = run_git(root, "commit", "--quiet", f"--message={message}", environment=environment)
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())[-300:]
        log(
            f"git did not commit {POINTER_FILE} ({reason}). The batch is in the data all the same; "
            f"commit with `git commit {POINTER_FILE}`"
        )
        return None
    commit = run_git(root, "rev-parse", "HEAD").stdout.strip()
    if not stage_pointer(root, place):
        log(
            f"{POINTER_FILE} is committed, but git's index is locked and still has the old one: "
            f"run `git reset -- {POINTER_FILE}` when git is free"
        )
    return commit


def settle_index(root: Path, *, place: Path) -> None:
    """Lets git's index have the committed `data.dvc`: a killed ingest may have come no further."""
    committed = run_git(root, "diff", "--quiet", "HEAD", "--", POINTER_FILE).returncode == 0
    staged = run_git(root, "diff", "--quiet", "--cached", "--", POINTER_FILE).returncode == 0
    if committed and not staged:
        stage_pointer(root, place)


def committed_pointer(root: Path) -> str | None:
    """The text of `data.dvc` in the checked-out commit, None where it has none."""
    if not _is_in_git(root):
        return None
    done = run_git(root, "show", f"HEAD:./{POINTER_FILE}")
    return done.stdout if done.returncode == 0 else None


def _is_in_git(root: Path) -> bool:
    return run_git(root, "rev-parse", "--is-inside-work-tree").returncode == 0
