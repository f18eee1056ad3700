"""What is built is what works: a workspace from the wheel alone, away from the repository."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import iip_assets

pytestmark = pytest.mark.slow

REPOSITORY = Path(iip_assets.__file__).parents[1]
TEMPLATES = (
    "LABELING.md",
    "dvc.yaml.template",
    "gitignore",
    "inbox.md",
    "workspace.yaml",
)


def python(*words: str, cwd: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs Python; `path`, if given, is looked at before what is installed."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = {} if path is None else {"PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**kept, **found, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", str(out), cwd=REPOSITORY)
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    return folder


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_wheel_holds_the_template_as_it_is_in_the_repository(wheel: Path, name: str) -> None:
    place = f"iip_assets/cli/templates/{name}"
    with zipfile.ZipFile(wheel) as packed:
        assert packed.read(place) == (REPOSITORY / place).read_bytes()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        files = {name for name in packed.namelist() if ".dist-info/" not in name}
    here = {
        file.relative_to(REPOSITORY).as_posix()
        for file in (REPOSITORY / "iip_assets").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert files == here


def test_a_workspace_made_by_the_wheel_alone_works(unpacked: Path, tmp_path: Path) -> None:
    main = "from iip_assets.cli.main import main; main()"
    root = tmp_path / "workspace"
    where = "import iip_assets; print(iip_assets.__file__)"
    imported = python("-c", where, cwd=tmp_path, path=unpacked).stdout.strip()
    assert Path(imported).is_relative_to(unpacked)

    python("-c", main, "init", str(root), cwd=tmp_path, path=unpacked)
    for place in ("iip.toml", "dvc.yaml", "workspace.yaml", ".gitignore", "inbox/README.md"):
        assert (root / place).is_file(), place
    assert (root / "data" / "LABELING.md").is_file()

    status = python("-c", main, "status", "--json", cwd=root, path=unpacked)
    assets = json.loads(status.stdout)["assets"]
    assert {state["state"] for state in assets.values()} == {"missing"}
    assert "pipeline_report" in assets
