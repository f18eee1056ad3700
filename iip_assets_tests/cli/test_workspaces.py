"""What `iip init` writes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import iip_assets
from iip_assets.cli import workspaces

REPOSITORY = Path(iip_assets.__file__).parents[1]


@pytest.mark.parametrize(
    "rules",
    [REPOSITORY / ".gitignore", Path(workspaces.__file__).parent / "templates" / "gitignore"],
    ids=["this repository", "a new workspace"],
)
def test_git_ignores_the_folder_of_predictions(tmp_path: Path, rules: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(rules.read_bytes())
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    ignored = subprocess.run(["git", "check-ignore", "predictions/masks/eye.png"], cwd=tmp_path)
    assert ignored.returncode == 0
