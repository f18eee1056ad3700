"""What stands between a wish and a moved alias, where the graph could not answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iip_assets.release.registry import Registry, RegistryError
from iip_assets.release.registry_state import read_registry
from iip_assets.workspace.models import promote, teach


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A registry with a champion and a candidate."""
    for word in ("one", "two"):
        facts = {"data_version": word}
        Registry(tmp_path).register("segmenter", {"card.json": b"{}"}, digest=word * 8, facts=facts)
    Registry(tmp_path).move("segmenter", "champion", 1, why="the first")
    return tmp_path


def test_a_gate_that_must_not_run_lets_nobody_pass(root: Path) -> None:
    blocked = {"model_versions": "the check masks_fit of raw_dataset failed"}
    refresher: Any = SimpleNamespace(
        project=SimpleNamespace(workspace=SimpleNamespace(root=root)),
        refresh=lambda names: SimpleNamespace(failed=(), blocked=blocked, asked=names),
    )
    with pytest.raises(RegistryError, match="must not run: the check masks_fit"):
        promote(refresher, "segmenter", 2, alias="champion", why="new", override="hurry")
    holder = read_registry(root).holder("segmenter", "champion")
    assert holder is not None
    assert holder.number == 1


def test_a_version_whose_artifact_is_gone_does_not_become_a_teacher(root: Path) -> None:
    (root / "iip.toml").write_text("")
    gone = SimpleNamespace(root=root, kept=lambda asset, data_version: None)
    project: Any = SimpleNamespace(workspace=gone)
    with pytest.raises(RegistryError, match="segmenter 2 cannot teach"):
        teach(project, "segmenter", 2)
    assert (root / "iip.toml").read_text() == ""
