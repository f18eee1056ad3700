"""A look at a workspace's git leaves it as it was."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

from iip_assets.engine.workspace import Workspace
from iip_assets_tests.git import git


def test_asking_for_the_commit_takes_no_lock_that_a_kill_would_leave(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    file = tmp_path / "data.dvc"
    file.write_text("one")
    git(tmp_path, "add", "data.dvc")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    # A file that looks touched makes `git status` write its index again, under index.lock.
    os.utime(file, (1, 1))
    index = (tmp_path / ".git" / "index").read_bytes()
    commit = Workspace(tmp_path, lambda _: SimpleNamespace()).git_commit()
    assert commit == git(tmp_path, "rev-parse", "HEAD")
    assert (tmp_path / ".git" / "index").read_bytes() == index


def test_uncommitted_changes_show_in_the_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    workspace = Workspace(tmp_path, lambda _: SimpleNamespace())
    assert workspace.git_commit() == ""
    (tmp_path / "data.dvc").write_text("one")
    git(tmp_path, "add", "data.dvc")
    git(tmp_path, "commit", "--quiet", "--message", "One")
    (tmp_path / "data.dvc").write_text("two")
    assert workspace.git_commit() == git(tmp_path, "rev-parse", "HEAD") + "+"
