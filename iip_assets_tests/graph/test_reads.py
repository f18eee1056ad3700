"""An asset reads nothing that is not an input, a declared setting or its code."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from iip_assets.graph import ASSETS
from iip_assets_tests.graph import watched
from iip_assets_tests.graph.conftest import Team

pytestmark = pytest.mark.slow

# Half a minute, for two that see no file but those of their libraries.
LEFT_OUT = {"embedding_backbone", "embedding_map"}
NAMES = [asset.name for asset in ASSETS if asset.name not in LEFT_OUT]


@pytest.fixture(scope="module")
def touched(team: Team, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each asset's function touched, in a copy of the workspace that holds no images.

    `data/` is not checked out there and the known truth is gone: the tracked bytes are in the DVC
    cache, and no more is needed.
    """
    root = tmp_path_factory.mktemp("watched") / "workspace"
    shutil.copytree(team.root, root, symlinks=True)
    shutil.rmtree(root / "data")
    (root / "truth.csv").unlink()
    done = Team(root).warm(watched.__file__, str(root), *NAMES)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# The files of registered versions, where another file of tests left some, are of this input.
READ_FROM = {"model_versions": ("registry",)}


def forbidden(files: list[str], inputs: tuple[str, ...] = ()) -> list[str]:
    """What an asset must not touch in its workspace.

    It may use DVC's cache and settings, its feature tables and their locks, its scratch folder, and
    the engine's memory of code keys.
    Values of other assets are handed to it: it does not fetch them from the artifacts itself. DVC
    looks for its own ignore file in the root.
    """
    own = ("features", "locks", "scratch")
    allowed = (".dvc/", *(f".iip/watched/{folder}/" for folder in own), ".iip/code_keys.json")
    return [
        file
        for file in files
        if file not in (".", ".dvcignore") and not file.startswith((*allowed, *inputs))
    ]


@pytest.mark.parametrize("asset", NAMES)
def test_an_asset_reads_its_inputs_its_settings_and_its_code(
    touched: dict[str, Any], asset: str
) -> None:
    assert forbidden(touched[asset]["files"], READ_FROM.get(asset, ())) == []


@pytest.mark.parametrize("asset", NAMES)
def test_an_asset_calls_no_one(touched: dict[str, Any], asset: str) -> None:
    assert touched[asset]["network"] == []


@pytest.mark.parametrize("asset", NAMES)
def test_the_same_inputs_give_the_same_value_again(touched: dict[str, Any], asset: str) -> None:
    assert touched[asset]["made"] == touched[asset]["recorded"]


def test_images_are_read_from_the_cache(touched: dict[str, Any]) -> None:
    read = [file for file in touched["image_statistics"]["files"] if "/cache/files/md5/" in file]
    assert len(read) >= 80


def test_the_watch_sees_who_reads_past_the_engine(touched: dict[str, Any]) -> None:
    nosy = touched[watched.NOSY]
    assert forbidden(nosy["files"]) == ["data", "iip.toml", "truth.csv"]
    assert any("127.0.0.1" in call for call in nosy["network"])
