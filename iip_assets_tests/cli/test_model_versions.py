"""What stands between a wish and a moved alias, where the graph could not answer."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from iip_assets.cli.model_versions import (
    met_before,
    name_baseline,
    print_versions,
    promote,
    remedy_in_words,
    teach,
)
from iip_assets.registry.registry import Registry, RegistryError, read_registry
from iip_assets.registry.registry_state import DamagedVersionError
from iip_assets.settings import GroupPair, RemedySettings


@pytest.fixture
def root(empty_registry: Path) -> Path:
    """A registry with a champion and a candidate."""
    for word in ("one", "two"):
        facts = {"data_version": word}
        Registry(empty_registry).register(
            "segmenter", {"card.json": b"{}"}, digest=word * 8, facts=facts
        )
    Registry(empty_registry).move("segmenter", "champion", 1, reason="the first")
    return empty_registry


def test_a_gate_that_must_not_run_lets_nobody_pass(root: Path) -> None:
    blocked = {"model_versions": "the check masks_fit of raw_dataset failed"}
    refresher: Any = SimpleNamespace(
        project=SimpleNamespace(workspace=SimpleNamespace(root=root)),
        refresh=lambda names: SimpleNamespace(failed=(), blocked=blocked, asked=names),
    )
    with pytest.raises(RegistryError, match="must not run: the check masks_fit"):
        promote(refresher, "segmenter", 2, alias="champion", reason="new", override="hurry")
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


def test_a_smaller_model_is_no_baseline_and_it_is_said_why(root: Path) -> None:
    facts = {"data_version": "three", "asset": "compressed_segmenters"}
    Registry(root).register("segmenter", {"card.json": b"{}"}, digest="three" * 8, facts=facts)
    project: Any = SimpleNamespace(workspace=SimpleNamespace(root=root))
    with pytest.raises(RegistryError, match="segmenter 3 cannot be a baseline, as it is a smaller"):
        name_baseline(project, "segmenter", 3)


def test_a_version_that_learned_from_what_is_held_out_now_is_told(root: Path) -> None:
    files = {"card.json": b"{}", "learned_from.json": b'["a", "b", "c", "d"]'}
    Registry(root).register("segmenter", files, digest="three" * 8, facts={})
    version = Registry(root).version("segmenter", 3)
    splits = pl.DataFrame(
        {"image_id": [*"abcd"], "split": ["train", "test", "challenge", "validation"]}
    )
    told = met_before("segmenter", version, splits)
    assert told is not None
    assert "segmenter 3 learned from 2 images now in test or challenge" in told
    assert met_before("segmenter", version, splits.filter(split="train")) is None


def test_a_version_with_a_damaged_file_is_neither_held_against_the_champion_nor_a_teacher(
    root: Path,
) -> None:
    (root / "iip.toml").write_text("")
    version = Registry(root).version("segmenter", 2)
    (version.folder / "card.json").write_bytes(b"{")
    workspace = SimpleNamespace(root=root, kept=lambda asset, data_version: "kept")
    project: Any = SimpleNamespace(workspace=workspace)
    refresher: Any = SimpleNamespace(project=project)  # that refreshes nothing
    with pytest.raises(DamagedVersionError, match="so segmenter 2 cannot be used"):
        promote(refresher, "segmenter", 2, alias="champion", reason="new", override="hurry")
    with pytest.raises(DamagedVersionError, match="so segmenter 2 cannot be used"):
        teach(project, "segmenter", 2)
    assert (root / "iip.toml").read_text() == ""


def test_a_terminal_of_80_columns_shows_versions_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = {
        "model": "segmenter",
        "version": 12,
        "aliases": ["champion", "challenger"],
        "registered_at": "2026-11-28T13:44:10+00:00",
        "headline": 0.87215,
        "low": 0.857,
        "high": 0.887,
        "data_revision": "d3e8fcee" * 5,
        "git_commit": "288875a4" * 5,
    }
    print_versions([row])
    shown = capsys.readouterr().out
    for words in (
        "segmenter 12",
        "challenger",
        "2026-11-28",
        "13:44",
        "0.872",
        "0.86 to 0.89",
        "d3e8fcee",
        "288875a4",
        "registered",
        "headline",
    ):
        assert f" {words} " in shown, words


def test_the_card_names_the_models_remedy_how_strong_it_is_for_whom_and_why() -> None:
    assert remedy_in_words(RemedySettings()) == "none"
    reason = {"reason": "half the gap"}
    words = remedy_in_words(RemedySettings(**reason))
    assert words == "the weights of training_set: half the gap"
    pairs = (GroupPair(axis="ethnicity", group="black"),)
    words = remedy_in_words(RemedySettings(method="mindiff", weight=0.3, pairs=pairs, **reason))
    assert words == "mindiff 0.3, ethnicity black as others: half the gap"
    floors = {"ethnicity": {"black": 0.9, "white": 0.8}}
    words = remedy_in_words(RemedySettings(method="rate_constraint", recall=floors))
    assert words == "rate_constraint, ethnicity black at least 0.9, ethnicity white at least 0.8"
