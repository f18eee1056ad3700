"""An older state stays readable, two states can be compared, and every number can be followed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import iip_assets
from iip_assets_tests.graph.conftest import TINY, Team

pytestmark = pytest.mark.slow

ROW = {"full": "partial", "partial": "full", "none": "full"}


def relabel(own_team: Team, image_id: str) -> tuple[str, str]:
    """Gives an image another label in its batch's labels.csv; before and after."""
    images = iip_assets.load("raw_dataset", root=own_team.root)["images"]
    image = images.filter(images["image_id"] == image_id).row(0, named=True)
    folder, _, name = image["path"].partition("/images/")
    file = own_team.root / "data" / folder / "labels.csv"
    before, after = image["label"], ROW[image["label"]]
    lines = file.read_text().splitlines()
    told = [line.replace(f",{before},", f",{after},") if name in line else line for line in lines]
    assert told != lines
    file.unlink()  # it may be a link into DVC's cache
    file.write_text("\n".join(told) + "\n")
    return before, after


@pytest.fixture(scope="module")
def relabelled(own_team: Team) -> Iterator[dict[str, Any]]:
    """A commit with a corrected training label, computed, and one with a setting, not computed."""
    splits = iip_assets.load("data_splits", root=own_team.root)
    images = iip_assets.load("raw_dataset", root=own_team.root)["images"]
    training = splits.filter(splits["split"] == "train").join(images, on="image_id")
    image_id = training.filter(training["label"] == "full")["image_id"][0]
    start = own_team.git("rev-parse", "HEAD")
    before, after = relabel(own_team, image_id)
    own_team.dvc("add", "--quiet", "data")
    own_team.commit("One label corrected")
    done = own_team.iip("refresh", "--json", "model_evaluation", "drift_report", "quarantine")
    assert not json.loads(done.stdout)["failed"]
    (own_team.root / "iip.toml").write_text(TINY.replace("[filter]", "[filter]\nseed = 9"))
    own_team.commit("A setting")
    (own_team.root / "iip.toml").write_text(TINY)
    own_team.commit("And back")
    yield {"image_id": image_id, "before": before, "after": after, "start": start}
    own_team.git("reset", "--quiet", "--hard", start)
    own_team.dvc("checkout", "--quiet", "--force")


def label_of(raw_dataset: dict[str, Any], image_id: str) -> str:
    images = raw_dataset["images"]
    return str(images.filter(images["image_id"] == image_id)["label"][0])


def test_an_older_revision_gives_its_own_values_after_the_data_moved_on(
    own_team: Team, relabelled: dict[str, Any]
) -> None:
    for at, word in ((relabelled["start"], "before"), ("HEAD", "after"), (None, "after")):
        found = iip_assets.load("raw_dataset", at=at, root=own_team.root)
        assert label_of(found, relabelled["image_id"]) == relabelled[word]
    old, new = (
        iip_assets.load("iris_filter_model", at=at, root=own_team.root).parts["filter.safetensors"]
        for at in (relabelled["start"], "HEAD")
    )
    assert old != new
    manifest = iip_assets.load("dvc_data", at=relabelled["start"], root=own_team.root)
    assert manifest.height > 80


def test_a_revision_that_is_none_or_was_never_computed_says_what_to_do(
    own_team: Team, relabelled: dict[str, Any]
) -> None:
    with pytest.raises(LookupError, match="git log --oneline"):
        iip_assets.load("raw_dataset", at="nonsense", root=own_team.root)
    with pytest.raises(LookupError, match=r"git checkout HEAD~1 .* iip refresh"):
        iip_assets.load("iris_filter_model", at="HEAD~1", root=own_team.root)
    assert iip_assets.load("raw_dataset", at="HEAD~1", root=own_team.root)
    shown = json.loads(own_team.iip("compare", "HEAD~1", "now", "--json").stdout)
    assert "iip refresh" in shown["before"]["absent"]["model_evaluation"]
    metrics = {row["metric"]: row for row in shown["metrics"]}
    assert metrics["filter.f1_macro"]["before"]["value"] is None
    assert metrics["filter.f1_macro"]["verdict"] == "unknown"
    assert metrics["data.images"]["verdict"] == "equal"


def test_a_corrected_label_is_the_one_cause_between_its_two_revisions(
    own_team: Team, relabelled: dict[str, Any]
) -> None:
    shown = json.loads(own_team.iip("compare", relabelled["start"], "now", "--json").stdout)
    metrics = {row["metric"]: row for row in shown["metrics"]}
    main = metrics["filter.f1_macro"]
    assert main["changed"] == ["labels"]
    assert main["difference"] == main["after"]["value"] - main["before"]["value"]
    # No test image came or went, so both differences are of the same images.
    assert main["common_difference"]["value"] == pytest.approx(main["difference"], abs=1e-5)
    labels = shown["data"]["labels"]
    assert [(one["before"], one["after"], one["images"]) for one in labels] == [
        (relabelled["before"], relabelled["after"], 1)
    ]
    assert shown["data"]["batches"] == []
    page = own_team.iip("compare", relabelled["start"], "now", "--markdown").stdout
    assert "| filter.f1_macro |" in page
    assert f"label {relabelled['before']} → {relabelled['after']} on 1 image" in page
    for words in (["HEAD", "HEAD"], ["HEAD", "now"]):
        same = json.loads(own_team.iip("compare", *words, "--json").stdout)
        assert {row["verdict"] for row in same["metrics"]} == {"equal"}
        assert {word for row in same["metrics"] for word in row["changed"]} == {"nothing"}


def test_a_model_is_followed_back_to_the_labels_and_the_commit_of_the_data(
    own_team: Team, relabelled: dict[str, Any]
) -> None:
    shown = json.loads(own_team.iip("trace", "iris_filter_model", "--json").stdout)
    steps = {step["asset"]: step for step in shown["steps"]}
    assert shown["steps"][0]["asset"] == "iris_filter_model"
    assert {"rebalanced_training_set", "data_splits", "raw_dataset"} <= steps.keys()
    for step in steps.values():
        assert step["modules"]
        assert step["packages"]
        assert step["git_commit"]
        assert step["made_at"]
        for name, version in step["inputs"].items():
            assert name not in steps or steps[name]["data_version"] == version
    assert [one["subject"] for one in shown["data"]["commits"]] == ["One label corrected"]
    assert sum(batch["label_rows"] for batch in shown["data"]["batches"]) == 80
    version = shown["data_version"]
    assert json.loads(own_team.iip("trace", version[:12], "--json").stdout) == shown
    assert "One label corrected" in own_team.iip("trace", "iris_filter_model").stdout


def test_an_image_is_followed_to_every_model_that_saw_it(
    own_team: Team, relabelled: dict[str, Any]
) -> None:
    image_id = relabelled["image_id"]
    shown = json.loads(own_team.iip("trace", image_id[:12], "--json").stdout)
    assert shown["image_id"] == image_id
    assert [row["label"] for row in shown["label_rows"]] == [relabelled["after"]]
    assert shown["split"]["split"] == "train"
    assert shown["training_set"]["weight"] > 0
    filters = [one for one in shown["models"] if one["model"] == "iris_filter_model"]
    assert [one["present"] for one in filters] == [True, False]
    assert all(one["trained_on"] and not one["predicted"] for one in filters)
    path = f"data/{shown['image']['path']}"
    assert json.loads(own_team.iip("trace", path, "--json").stdout) == shown
    assert image_id in own_team.iip("trace", path).stdout


def test_a_held_out_image_was_predicted_and_never_trained_on(
    own_team: Team, relabelled: dict[str, Any]
) -> None:
    predictions = iip_assets.load("predictions", root=own_team.root)
    tested = predictions.filter(predictions["split"] == "test")
    row = tested.row(0, named=True)
    shown = json.loads(own_team.iip("trace", row["image_id"], "--json").stdout)
    now = [one for one in shown["models"] if one["present"]]
    assert {one["model"] for one in now} == {"iris_filter_model", "segmentation_model"}
    for one in shown["models"]:
        assert one["tested_on"]
        assert one["predicted"]
        assert not one["trained_on"]
        assert not one["validated_on"]
    (by_filter,) = (one for one in now if one["model"] == "iris_filter_model")
    assert by_filter["prediction"]["predicted"] == row["predicted"]


@pytest.mark.parametrize("word", ["nonsense", "abc", "data/LABELING.md", "../../etc/passwd", "-1"])
def test_what_names_nothing_is_refused_in_one_line(
    own_team: Team, relabelled: dict[str, Any], word: str
) -> None:
    found = own_team.iip("trace", "--", word, check=False)
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.startswith("iip: ")
    assert "Traceback" not in found.stderr
