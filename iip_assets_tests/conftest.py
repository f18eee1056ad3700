"""What holds for all tests: each file runs in one worker, the longest begin."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from iip_assets_tests.once import made_once

# How long an example takes depends on what else the machine does.
settings.register_profile("without deadline", deadline=None)
settings.load_profile("without deadline")

# While the first makes the workspace that the folder graph/ shares, two others need none.
LONGEST_FIRST = (
    "test_daemon.py",
    "test_shapes.py",
    "test_leaving.py",
    "test_distillation.py",
    "test_operations.py",
    "test_staleness.py",
    "test_kills.py",
    "test_work_ratio.py",
    "test_cross_dataset.py",
    "test_models_verb.py",
    "test_provenance.py",
    "test_sweep_verb.py",
    "test_reads.py",
    "test_notebooks.py",
    "test_round_trip.py",
    "test_bad_input.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the longest files first, so that no worker is left alone with one at the end."""
    place = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def pytest_collection_finish() -> None:
    """Leaves all that was imported out of later garbage collections, which took a tenth of it."""
    gc.freeze()


@pytest.fixture
def plain_wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """W&B without a key and without a switch of its own, in an empty folder."""
    import wandb

    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    wandb.teardown()  # W&B reads the environment once
    yield
    wandb.teardown()


@pytest.fixture
def empty_registry(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose registry has MLflow's tables, which take a second, and no version."""

    def make(folder: Path) -> None:
        from iip_assets.registry.registry import _client

        (folder / "registry").mkdir()
        _client(folder)

    made = made_once(tmp_path_factory, "registry", make)
    shutil.copytree(made / "registry", tmp_path / "registry")
    return tmp_path
