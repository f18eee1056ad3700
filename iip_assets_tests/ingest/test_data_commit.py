"""A kill while data.dvc is committed leaves no lock that stops other people's git."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from iip_assets.engine.atomic import sweep_writes_of
from iip_assets.ingest import data_commit
from iip_assets.ingest.data_commit import (
    GitBusyError,
    commit_pointer,
    free_locks,
    git_operation,
    refuse_git_operation,
    settle_index,
    stage_pointer,
)
from iip_assets_tests.git import git


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose data.dvc is changed, with another file staged."""
    made = tmp_path / "workspace"
    made.mkdir()
    git(made, "init", "--quiet")
    git(made, "config", "user.name", "Test")
    git(made, "config", "user.email", "test@example.org")
    for name in ("data.dvc", "notes"):
        (made / name).write_text("one\n")
    git(made, "add", "--all")
    git(made, "commit", "--quiet", "--message=One")
    for name in ("data.dvc", "notes"):
        (made / name).write_text("two\n")
    git(made, "add", "notes")
    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    made = tmp_path / "private"
    made.mkdir()
    return made


def quiet(text: str) -> None:
    raise AssertionError(text)


def test_the_pointer_alone_is_committed_and_the_rest_stays_staged(root: Path, place: Path) -> None:
    commit = commit_pointer(root, "Two", place=place, log=quiet)
    assert commit == git(root, "rev-parse", "HEAD")
    assert git(root, "show", "--name-only", "--format=%s", "HEAD").split() == ["Two", "data.dvc"]
    assert git(root, "status", "--porcelain") == "M  notes"
    assert commit_pointer(root, "Again", place=place, log=quiet) is None


def test_a_lock_that_a_killed_ingest_left_is_taken_away(
    root: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            stage_pointer(root, place)
    assert (root / ".git" / "index.lock").exists()
    free_locks(root, [place])
    assert not (root / ".git" / "index.lock").exists()
    assert stage_pointer(root, place)


def test_a_lock_of_somebody_else_is_left_and_waited_for(
    root: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_commit, "_PATIENCE_S", 0.3)
    lock = root / ".git" / "index.lock"
    lock.touch()
    assert not stage_pointer(root, place)
    free_locks(root, [place])
    assert lock.exists()


def test_a_branch_lock_that_stays_after_a_killed_commit_is_taken_away(
    root: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_commit, "_BRANCH_LOCK_S", 0.1)
    branch = git(root, "symbolic-ref", "HEAD")
    locks = [root / ".git" / "HEAD.lock", root / ".git" / f"{branch}.lock"]
    for lock in locks:
        lock.touch()
    free_locks(root, [place])
    assert all(lock.exists() for lock in locks), "no ingest was killed while it committed"
    (place / "commit-index").touch()
    free_locks(root, [place])
    assert not any(lock.exists() for lock in locks)


def test_a_commit_that_was_killed_before_the_index_had_it_is_settled(
    root: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(root: Path, place: Path) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr("iip_assets.ingest.data_commit.stage_pointer", killed)
        with pytest.raises(KeyboardInterrupt):
            commit_pointer(root, "Two", place=place, log=quiet)
    assert git(root, "status", "--porcelain", "data.dvc") == "MM data.dvc"
    settle_index(root, place=place)
    assert git(root, "status", "--porcelain") == "M  notes"


def _stop(root: Path, command: str) -> None:
    """A git command that stops in the middle, at a conflict in `notes`."""
    git(root, "commit", "--quiet", "--message=Ours", "notes")
    git(root, "checkout", "--quiet", "--force", "-b", "other", "HEAD~1")
    for text in ("three", "four"):
        (root / "notes").write_text(f"{text}\n")
        git(root, "commit", "--quiet", f"--message={text}", "--author=Else <e@example.org>", "-a")
    git(root, "checkout", "--quiet", "-")
    patch = git(root, "format-patch", "-2", "--stdout", "other") + "\n"
    (root.parent / "patch").write_text(patch)
    if command == "stash":
        git(root, "checkout", "--quiet", "other")
        (root / "notes").write_text("stashed\n")
        git(root, "stash")
        git(root, "checkout", "--quiet", "-")
        command = "stash pop"
    done = subprocess.run(["git", *command.split()], cwd=root, capture_output=True, check=False)
    assert done.returncode or command.startswith("bisect")


@pytest.mark.parametrize(
    "command",
    [
        "merge other",
        "cherry-pick other",
        "cherry-pick other~1 other",
        "revert --no-edit other",
        "rebase other",
        "am --3way ../patch",
        "bisect start HEAD other~1",
        "stash",
    ],
)
def test_while_git_is_in_an_operation_nothing_is_committed_and_that_is_said(
    root: Path, place: Path, command: str
) -> None:
    _stop(root, command)
    head, said = git(root, "rev-parse", "HEAD"), []
    (root / "data.dvc").write_text("of a batch\n")
    assert git_operation(root)
    with pytest.raises(GitBusyError, match=r"git is in the middle of .*Nothing was changed"):
        refuse_git_operation(root)
    assert commit_pointer(root, "A batch", place=place, log=said.append) is None
    assert git(root, "rev-parse", "HEAD") == head
    assert "was not committed, since git is in the middle of" in said[0]


@pytest.mark.parametrize("command", ["merge other", "rebase other", "cherry-pick other"])
def test_when_the_operation_is_over_the_pointer_is_committed(
    root: Path, place: Path, command: str
) -> None:
    _stop(root, command)
    git(root, command.split(maxsplit=1)[0], "--abort")
    (root / "data.dvc").write_text("of a batch\n")
    assert git_operation(root) is None
    assert commit_pointer(root, "A batch", place=place, log=quiet)


def test_what_a_killed_write_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    left = tmp_path / f".data.dvc.{'0' * 32}"
    kept = [tmp_path / "data.dvc", tmp_path / ".data.dvc.swp", tmp_path / f".other.{'0' * 32}"]
    for file in (left, *kept):
        file.touch()
    sweep_writes_of(tmp_path / "data.dvc")
    assert sorted(tmp_path.iterdir()) == sorted(kept)
