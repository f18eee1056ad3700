"""`iip init`: a new workspace under git and DVC."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_TEMPLATES = Path(__file__).parent / "templates"
# Template file to its place in the workspace.
_PLACES = {
    "iip.toml": "iip.toml",
    # By its own name DVC would take it for a stage of this repository.
    "dvc.yaml.template": "dvc.yaml",
    "workspace.yaml": "workspace.yaml",
    "gitignore": ".gitignore",
    "inbox.md": "inbox/README.md",
    "LABELING.md": "data/LABELING.md",
}

NEXT_STEPS = """
Your workspace is ready. Next:

  cd {folder}
  git commit -m "Begin"
  # put a batch into the inbox: inbox/2026-01-first/images/ and, if you have them,
  # inbox/2026-01-first/labels.csv and masks/ (inbox/README.md tells the format)
  iip ingest inbox/2026-01-first
  iip refresh
  iip ui    # takes what comes into the inbox later by itself
"""


class InitError(LookupError):
    """git or DVC refused."""


def init_workspace(folder: Path, *, log: Callable[[str], None]) -> None:
    """Makes a workspace in a new or empty folder.

    Raises:
        FileExistsError: The folder has something in it.
        InitError: git or DVC failed; the message is theirs.
    """
    if folder.is_file():
        raise FileExistsError(f"{folder} is a file; give a folder that does not exist yet")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; give a folder that does not exist yet")
    for template, place in _PLACES.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((_TEMPLATES / template).read_bytes())
    log("git init")
    _run(folder, "git", "init", "--quiet")
    log("dvc init")
    _dvc(folder, "init", "--quiet")
    _dvc(folder, "config", "core.analytics", "false")
    _dvc(folder, "config", "core.check_update", "false")
    log("dvc add data")
    _dvc(folder, "add", "--quiet", "data")
    _run(folder, "git", "add", "--all")


def _dvc(folder: Path, *words: str) -> None:
    _run(folder, sys.executable, "-m", "dvc", *words)


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InitError(f"`{' '.join(command[-3:])}` failed in {folder}: {done.stderr.strip()}")
