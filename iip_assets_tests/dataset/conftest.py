"""A small workspace under real git and DVC, with a remote."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iip_assets_tests.dataset.images import encoded, scene
from iip_assets_tests.dataset.team_workspace import put_under_git
from iip_assets_tests.once import made_once

LABELS = "image,label,subject_id\nimages/a.jpg,full,s1\nimages/b.png,none,s2\n"


def dvc(root: Path, *words: str) -> None:
    """Runs DVC's command line as a user would."""
    subprocess.run(
        [sys.executable, "-m", "dvc", "-q", *words],
        cwd=root,
        check=True,
        capture_output=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
    )


def make_workspace(root: Path) -> Path:
    """Two images and a labels.csv in one batch, tracked and pushed."""
    workspace = root / "workspace"
    batch = workspace / "data" / "batches" / "2026-01"
    (batch / "images").mkdir(parents=True)
    (batch / "images" / "a.jpg").write_bytes(encoded(scene(seed=1), "JPEG"))
    (batch / "images" / "b.png").write_bytes(encoded(scene(seed=2), "PNG"))
    (batch / "labels.csv").write_text(LABELS)
    dvc(workspace, "init", "--no-scm")
    dvc(workspace, "config", "core.site_cache_dir", str(root / "site"))
    dvc(workspace, "remote", "add", "--default", "store", str(root / "remote"))
    dvc(workspace, "add", "data")
    dvc(workspace, "push")
    return workspace


def copied_workspace(pristine: Path, place: Path) -> Path:
    """A copy that knows nothing of the first: DVC's caches and its remote are its own."""
    shutil.copytree(pristine, place)
    config = place / "workspace" / ".dvc" / "config"
    config.write_text(config.read_text().replace(str(pristine), str(place)))
    return place / "workspace"


@pytest.fixture
def workspace(tmp_path_factory, _pristine):
    """A fresh copy of the workspace."""
    return copied_workspace(_pristine, tmp_path_factory.mktemp("copy") / "all")


@pytest.fixture
def team(workspace):
    """The workspace under git, with an inbox."""
    put_under_git(workspace)
    return workspace


@pytest.fixture(scope="session")
def _pristine(tmp_path_factory):
    return made_once(tmp_path_factory, "pristine", make_workspace)
