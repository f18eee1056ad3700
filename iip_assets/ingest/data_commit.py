"""Committing `data.dvc`, and nothing else, to git: every state of the data has a revision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from iip_assets.images.data_listing import POINTER_FILE
from iip_assets.ingest.git_command import run_git
from iip_assets.ingest.git_index import commit_index, stage_pointer

_STRANGER = {
    "GIT_AUTHOR_NAME": "iip ingest",
    "GIT_AUTHOR_EMAIL": "iip@localhost",
    "GIT_COMMITTER_NAME": "iip ingest",
    "GIT_COMMITTER_EMAIL": "iip@localhost",
}


def commit_pointer(
    root: Path, message: str, *, place: Path, log: Callable[[str], None]
) -> str | None:
    """Commits `data.dvc` alone; what else is staged stays staged.

    The data are taken whether git likes it or not, so a refusal is told and is no error.

    Args:
        root: The workspace.
        message: The commit's message.
        place: A private folder.
        log: Told why nothing was committed, if so.

    Returns:
        The commit; None where there is none.
    """
    if not _is_in_git(root):
        log(f"{root} is not under git, so {POINTER_FILE} was not committed")
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
