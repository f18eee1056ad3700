"""A workspace's files as they were at a git revision."""

from __future__ import annotations

from pathlib import Path

import pytest

from iip_assets.engine.revisions import UnknownRevisionError, find_revision
from iip_assets_tests.git import git


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace in a subfolder of its repository, with two commits."""
    root = tmp_path / "repository" / "eyes"
    root.mkdir(parents=True)
    git(root.parent, "init", "--quiet")
    for number in (1, 2):
        (root / "data.dvc").write_text(f"number {number}\n")
        git(root.parent, "add", "--all")
        git(root.parent, "commit", "--quiet", "--message", f"commit {number}")
    return root


def test_a_file_is_read_as_it_was_whatever_lies_there_now(workspace: Path) -> None:
    (workspace / "data.dvc").write_text("edited")
    assert find_revision(workspace, "HEAD").text("data.dvc") == "number 2\n"
    assert find_revision(workspace, "HEAD~1").text("data.dvc") == "number 1\n"
    git(workspace, "tag", "first", "HEAD~1")
    assert find_revision(workspace, "first").commit == git(workspace, "rev-parse", "HEAD~1")


@pytest.mark.parametrize("name", ["nonsense", "", " ", "--all", "HEAD:eyes/data.dvc", "HEAD~9"])
def test_what_is_no_revision_is_refused_with_a_way_to_find_one(workspace: Path, name: str) -> None:
    with pytest.raises(UnknownRevisionError, match="git log --oneline"):
        find_revision(workspace, name)


def test_before_the_first_commit_it_says_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    with pytest.raises(UnknownRevisionError, match="has no commit yet"):
        find_revision(tmp_path, "HEAD")


def test_a_file_that_was_not_there_is_named(workspace: Path) -> None:
    with pytest.raises(UnknownRevisionError, match=r"has no iip\.toml"):
        find_revision(workspace, "HEAD").text("iip.toml")


def test_a_file_that_is_no_text_is_named(workspace: Path) -> None:
    (workspace / "data.dvc").write_bytes(b"\xff\xfe")
    git(workspace, "commit", "--quiet", "--all", "--message", "bytes")
    with pytest.raises(UnknownRevisionError, match=r"data\.dvc of commit .* is not UTF-8"):
        find_revision(workspace, "HEAD").text("data.dvc")


def test_a_folder_without_git_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnknownRevisionError, match="not under git"):
        find_revision(tmp_path, "HEAD")
