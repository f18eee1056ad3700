"""The state of a workspace at a git revision: read from git, nothing checked out."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from iip_assets.engine.history import Point
from iip_assets.engine.project import Project


class UnknownRevisionError(LookupError):
    """A revision that git does not know, or that lacks a file of the workspace."""


@dataclass(frozen=True)
class Revision:
    """A commit, as seen from a workspace that may be a subfolder of the repository.

    Attributes:
        root: The workspace.
        commit: The commit's full hash.
    """

    root: Path
    commit: str

    def text(self, path: str) -> str:
        """A text file of the workspace as it was.

        Args:
            path: Relative to the workspace, forward slashes.

        Raises:
            UnknownRevisionError: It was not there, or was no text.
        """
        done = _git(self.root, "show", "--end-of-options", f"{self.commit}:./{path}")
        if done.returncode:
            raise UnknownRevisionError(
                f"the commit {self.commit[:12]} has no {path} in {self.root}: give a revision in "
                f"which it is committed; `git log -- {path}` lists them"
            )
        try:
            return done.stdout.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnknownRevisionError(
                f"{path} of commit {self.commit[:12]} is not UTF-8 text: {error}"
            ) from error


def find_revision(root: Path, name: str) -> Revision:
    """The commit that a name such as `HEAD~1`, a tag, a branch or a hash stands for.

    Raises:
        UnknownRevisionError: There is none, or the folder is not under git.
    """
    word = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
    done = _git(root, *word)
    if done.returncode == 0 and name.strip():
        return Revision(root, done.stdout.decode().strip())
    if _git(root, "rev-parse", "--git-dir").returncode:
        raise UnknownRevisionError(
            f"{root} is not under git, so it has no revision {name!r}: `git init`, then commit"
        )
    if not _git(root, "rev-list", "--all", "--max-count=1").stdout:
        raise UnknownRevisionError(
            f"{root} has no commit yet: `git add .` and `git commit` make the first"
        )
    raise UnknownRevisionError(
        f"git knows no commit {name!r} in {root}; `git log --oneline` lists what there is, "
        "`git fetch` brings what others pushed"
    )


@dataclass(frozen=True)
class Commit:
    """A commit as `git log` tells of it; `date` is ISO 8601."""

    commit: str
    date: str
    subject: str


def commits_that_brought(root: Path, path: str, text: str) -> list[Commit]:
    """The commits, on any branch, that brought a text into a file; the newest first.

    Args:
        root: The workspace.
        path: The file, relative to the workspace.
        text: What was brought in, such as a data version.
    """
    form = "--format=%H%x1f%cI%x1f%s"
    done = _git(root, "log", "--all", form, f"-S{text}", "--", path)
    touched = [
        Commit(*line.split("\x1f", 2))
        for line in done.stdout.decode("utf-8", "replace").splitlines()
        if line.count("\x1f") >= 2
    ]
    # A commit that took the text away touches it too.
    return [
        one
        for one in touched
        if text.encode() in _git(root, "show", f"{one.commit}:./{path}").stdout
    ]


def point_at(project: Project, revision: Revision) -> Point:
    """What the sources held and what the settings were at a revision.

    Raises:
        UnknownRevisionError: A file that says so was not in it.
        LookupError: The settings are not kept in git.
        ValueError: A file that says so is damaged there.
    """
    workspace = project.workspace
    versions = {}
    for name, source in project.graph.sources.items():
        # What is not kept in git is at every revision what it is now.
        versions[name] = (
            source.observe(workspace.root)
            if source.version_at is None
            else source.version_at(revision.text)
        )
    if workspace.settings_at is None:
        raise LookupError("the settings of this workspace are not kept in git")
    return Point(versions, workspace.settings_at(revision.text), revision.commit)


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, check=False)
