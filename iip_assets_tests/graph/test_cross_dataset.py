"""`iip models test`: trained on one set, tested on another, in whole workspaces."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import iip_assets
from iip_assets.registry.registry import _client
from iip_assets_tests.graph.conftest import Team

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def twin(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A copy of the workspace under another name, so that what was learned from is known."""
    team.iip("models", "register")
    root = tmp_path_factory.mktemp("other") / "twin"
    shutil.copytree(team.root, root, symlinks=True)
    return Team(root)


def outcome(team: Team, model: str, *folders: Path, words: tuple[str, ...] = ()) -> dict[str, Any]:
    on = [word for folder in folders for word in ("--on", str(folder))]
    done = team.iip("models", "test", model, "1", *on, *words, "--json")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def overall(found: dict[str, Any], name: str) -> dict[str, float]:
    return {
        row["metric"]: row["value"]
        for row in found["metrics"]
        if (row["set"], row["axis"]) == (name, "overall")
    }


@pytest.mark.parametrize("model", ["filter", "segmenter"])
def test_on_its_own_test_images_a_version_has_the_numbers_of_its_evaluation(
    team: Team, twin: Team, model: str
) -> None:
    evaluated = iip_assets.load("model_evaluation", root=team.root)["metrics"].filter(
        pl.col("model") == model
    )
    found = outcome(team, model, team.root, twin.root)
    (own, other) = found["sets"]
    assert (own["set"], other["set"]) == ("workspace", "twin")
    assert own["n_images"] == other["n_images"] == evaluated["n_images"].max()
    assert set(own["left_out"].values()) == {0}
    assert overall(found, "workspace") == overall(found, "twin")
    rows = {(row["metric"], row["axis"], row["slice"]): row for row in found["metrics"]}
    checked = 0
    for row in evaluated.iter_rows(named=True):
        ours = rows.get((row["metric"], row["axis"], row["slice"]))
        if ours is None:
            assert row["metric"].startswith("boundary_f1")
            continue
        for end in ("value", "low", "high"):
            assert ours[end] == (None if row[end] is None else pytest.approx(row[end], abs=1e-6))
        assert (ours["n_images"], ours["enough"]) == (row["n_images"], row["enough"])
        checked += 1
    assert checked > 100


def test_of_all_images_those_are_left_out_that_it_learned_from(team: Team, twin: Team) -> None:
    splits = iip_assets.load("data_splits", root=team.root)
    images = iip_assets.load("raw_dataset", root=team.root)["images"]
    labelled = splits.join(images, on="image_id").filter(
        pl.col("label").is_in(["full", "partial", "none"])
    )
    (found,) = outcome(team, "filter", twin.root, words=("--split", "all"))["sets"]
    counts = dict(labelled["split"].value_counts().iter_rows())
    assert found["n_images"] == counts["test"]
    assert found["left_out"]["learned"] == counts["train"] + counts["validation"]
    assert found["seen_as"] == "embeddings"


def test_a_set_without_models_or_embeddings_is_tested_on_by_its_images(
    team: Team, twin: Team, tmp_path: Path
) -> None:
    del twin
    root = tmp_path / "new"
    team.iip("init", str(root))
    new = Team(root)
    unknown = team.iip("models", "test", "filter", "1", "--on", str(root), check=False)
    assert unknown.returncode == 1
    assert "nothing was computed there yet; run `iip refresh` in it" in unknown.stderr
    assert not (root / ".iip" / "dagster").exists()
    refused = team.iip("synthesize", str(root / "data" / "more"), check=False)
    assert "is tracked by DVC (data.dvc)" in refused.stderr
    made = root / "data" / "batches"
    team.iip("synthesize", str(tmp_path / "made"), "--images", "24", "--seed", "9")
    shutil.copytree(tmp_path / "made", made)
    new.dvc("add", "--quiet", "data")
    half = new.iip("refresh", "raw_dataset", check=False)
    assert half.returncode == 0, half.stderr
    lacking = team.iip("models", "test", "filter", "1", "--on", str(root), check=False)
    assert lacking.returncode == 1
    assert "no value yet; run `iip refresh image_fingerprints` there" in lacking.stderr
    new.iip("refresh", "data_splits", "image_slices")
    to = tmp_path / "metrics.csv"
    found = outcome(team, "filter", team.root, root, words=("--split", "all", "--to", str(to)))
    own, other = found["sets"]
    assert other["seen_as"] == "images"
    assert other["n_images"] == 24
    assert set(other["left_out"].values()) == {0}
    assert pl.read_csv(to).height == len(found["metrics"])
    assert {row["set"] for row in found["metrics"]} == {"workspace", "new"}
    assert own["n_images"] > 0
    both = team.iip("models", "test", "segmenter", "1", "--on", ".", "--on", str(root))
    assert "mean IoU" in both.stdout
    assert "new" in both.stdout
    # Its data move on; what was computed of them does not.
    team.iip("synthesize", str(tmp_path / "more"), "--images", "4", "--seed", "10")
    shutil.copytree(tmp_path / "more", made / "more")
    new.dvc("add", "--quiet", "data")
    assert outcome(team, "filter", root, words=("--split", "all"))["sets"][0]["data_moved"]


def test_what_cannot_be_tested_on_is_refused_in_words(
    team: Team, twin: Team, tmp_path: Path
) -> None:
    nowhere = team.iip("models", "test", "filter", "1", "--on", str(tmp_path), check=False)
    assert "is no workspace (no iip.toml in it)" in nowhere.stderr
    twice = team.iip("models", "test", "filter", "1", "--on", ".", "--on", ".", check=False)
    assert "named twice" in twice.stderr
    unknown = team.iip("models", "test", "filter", "99", "--on", ".", check=False)
    assert "there is no version 99" in unknown.stderr
    settings = twin.root / "iip.toml"
    kept = settings.read_text()
    try:
        settings.write_text('[dataset]\nmask_classes = ["background", "iris"]\n' + kept)
        other = team.iip("models", "test", "segmenter", "1", "--on", str(twin.root), check=False)
        assert "background, iris: no number would mean anything" in other.stderr
        for done in (nowhere, twice, unknown, other):
            assert done.returncode == 1
            assert "Traceback" not in done.stderr
    finally:
        settings.write_text(kept)


def test_where_all_was_learned_from_nothing_is_told_but_why(team: Team, twin: Team) -> None:
    folder = next(
        Path(row["folder"])
        for row in json.loads(team.iip("models", "list", "--json").stdout)
        if (row["model"], row["version"]) == ("filter", 1)
    )
    file = folder / "learned_from.json"
    kept = file.read_text()
    # Without its hash a file is not checked, as those of versions of long ago.
    _client(team.root).delete_model_version_tag("filter", "1", "hashes")
    try:
        images = iip_assets.load("raw_dataset", root=team.root)["images"]
        file.write_text(json.dumps(images["image_id"].to_list()))
        done = team.iip("models", "test", "filter", "1", "--on", str(twin.root), check=False)
        assert done.returncode == 1
        assert "are left out for filter 1" in done.stderr
        assert "that it learned from" in done.stderr
    finally:
        file.write_text(kept)
