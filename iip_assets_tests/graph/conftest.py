"""One workspace of rendered eyes, computed once; each test puts its data and settings back.

Every file finds all of it fresh.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.git import git
from iip_assets_tests.graph.warm import run_warm
from iip_assets_tests.once import made_once

# Small enough to train on in a second, large enough for every asset to have something to say. With
# more neighbours than images the map is no UMAP, which every process compiles for a quarter of a
# minute; its own tests have it.
TINY = """
[splits]
train = 0.5
validation = 0.2
test = 0.3
[segmenter]
encoder = "test_efficientnet"
width = 32
height = 32
epochs = 1
decoder_channels = [8, 8, 8, 8]

[filter]
epochs = 5

[label_errors]
folds = 2
seeds = 1

[mask_errors]
folds = 2
width = 32
height = 32
epochs = 1

[augmentation_trials]
images = 10

[slice_discovery]
draws = 100

[evaluation]
resamples = 50
min_slice_images = 5

[robustness]
corruptions = ["defocus_blur"]
max_images = 6

[compression]
filter = ["fp16"]
segmenter = ["int8"]
corruptions = ["defocus_blur"]
max_images = 20

[compression_training]
epochs = 1
student_epochs = 1
calibration_images = 4

[drift]
columns = ["brightness", "sharpness"]

[explanation]
images = 3
sample = 3
cells = 4

[edge_cases]
neighbors = 100
min_cluster_size = 5

[release]
resamples = 100

[tracking]
wandb = "off"
"""


@dataclass(frozen=True)
class Team:
    """A team's workspace and the commands that its people type."""

    root: Path

    def iip(
        self, *words: str, check: bool = True, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `iip` in a process of its own."""
        return self.warm("iip", *words, check=check, variables=variables)

    def dvc(self, *words: str) -> None:
        self.warm("dvc", *words)

    def warm(
        self, *command: str, check: bool = True, variables: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `iip`, `dvc` or a Python file in a process of its own."""
        done = run_warm(command, cwd=self.root, variables=variables or {})
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def git(self, *words: str) -> str:
        return git(self.root, *words)

    def run(
        self, *command: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONWARNINGS": "ignore", **(environment or {})},
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def refresh(self, *assets: str) -> dict[str, Any]:
        """Refreshes these assets and what they need, or all; what was done."""
        found: dict[str, Any] = json.loads(self.iip("refresh", "--json", *assets).stdout)
        assert not found["failed"], found
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.iip("status", "--json").stdout)["assets"]
        return found

    def due(self) -> dict[str, list[str]]:
        """Why, for each asset that is not fresh."""
        states = self.status().items()
        return {name: state["reasons"] for name, state in states if state["state"] != "fresh"}

    def commit(self, message: str) -> None:
        self.git("commit", "--quiet", "--all", "--message", message)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A computed workspace to copy."""

    def make(folder: Path) -> None:
        made_team(folder / "workspace", images=80).refresh()

    return made_once(tmp_path_factory, "untouched", make) / "workspace"


@pytest.fixture(scope="package")
def computed(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """The workspace that the files of this folder share."""
    return copied_team(untouched, tmp_path_factory.mktemp("team") / "workspace")


def copied_team(untouched: Path, root: Path) -> Team:
    """A copy of the computed workspace, in which nobody has done anything yet."""
    return Team(shutil.copytree(untouched, root, symlinks=True))


def made_team(root: Path, *, images: int, settings: str = TINY, seed: int = 5) -> Team:
    """A workspace made by `iip init` with rendered eyes in its data, nothing computed."""
    run_warm(("iip", "init", str(root)), cwd=root.parent, variables={}).check_returncode()
    made = Team(root)
    write_dataset(
        root / "data" / "batches",
        images=images,
        seed=seed,
        batches=2,
        effects=SAMPLE,
        truth=root / "truth.csv",
        labeling=root / "data" / "LABELING.md",
    )
    (root / "iip.toml").write_text(settings)
    made.dvc("add", "--quiet", "data")
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message", "First batches")
    return made


@pytest.fixture(scope="module")
def own_team(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A workspace in which nobody has done anything yet: where things came from is asked here."""
    return copied_team(untouched, tmp_path_factory.mktemp("own") / "workspace")


@pytest.fixture(scope="module")
def team(computed: Team) -> Team:
    """The workspace, with everything fresh: the file before put its data back and no more."""
    computed.refresh()
    return computed


@pytest.fixture
def revert(team: Team) -> Iterator[None]:
    """Puts settings and data back after a test."""
    yield
    team.git("checkout", "--quiet", "--", ".")
    team.dvc("checkout", "--quiet", "--force")
