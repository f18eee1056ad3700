"""Committing `data.dvc`, and nothing else, to git: every state of the data has a revision."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from iip_assets.dataset.pointer import POINTER_FILE

# A hook may run tests.
_PATIENCE_S = 600
_STRANGER = {
    "GIT_AUTHOR_NAME": "iip ingest",
    "GIT_AUTHOR_EMAIL": "iip@localhost",
    "GIT_COMMITTER_NAME": "iip ingest",
    "GIT_COMMITTER_EMAIL": "iip@localhost",
}


def commit_pointer(root: Path, message: str, *, say: Callable[[str], None]) -> str | None:
    """Commits `data.dvc` alone; what else is staged stays staged.

    The data are taken whether git likes it or not, so a refusal is told and is no error.

    Args:
        root: The workspace.
        message: The commit's message.
        say: Told why nothing was committed, if so.

    Returns:
        The commit; None where there is none.
    """
    if not _is_in_git(root):
        say(f"{root} is not under git, so {POINTER_FILE} was not committed")
        return None
    state = _git(root, "status", "--porcelain", "--", POINTER_FILE).stdout
    if not state.strip():
        return None
    if state.startswith("??"):
        _git(root, "add", "--", POINTER_FILE)
    environment = {} if _git(root, "var", "GIT_COMMITTER_IDENT").returncode == 0 else _STRANGER
    done = _git(
        root,
        "commit",
        "--quiet",
        "--only",
        f"--message={message}",
        "--",
        POINTER_FILE,
        environment=environment,
    )
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())[-300:]
        say(
            f"git did not commit {POINTER_FILE} ({reason}). The batch is in the data all the same; "
            f"commit with `git commit {POINTER_FILE}`"
        )
        return None
    return _git(root, "rev-parse", "HEAD").stdout.strip()


def committed_pointer(root: Path) -> str | None:
    """The text of `data.dvc` in the checked-out commit, None where it has none."""
    if not _is_in_git(root):
        return None
    done = _git(root, "show", f"HEAD:./{POINTER_FILE}")
    return done.stdout if done.returncode == 0 else None


def _is_in_git(root: Path) -> bool:
    return _git(root, "rev-parse", "--is-inside-work-tree").returncode == 0


def _git(
    root: Path, *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = ("git", *words)
    try:
        return subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")
    except subprocess.TimeoutExpired:
        why = f"git did not end within {_PATIENCE_S} s"
        return subprocess.CompletedProcess(command, 124, "", why)
