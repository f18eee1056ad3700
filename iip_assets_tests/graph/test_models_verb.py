"""The acts of who rolls models out: register, promote, compare, roll back, predict."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import cv2
import polars as pl
import pytest

from iip_assets_tests.graph.conftest import Team

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registered(own_team: Team) -> list[dict[str, Any]]:
    """Both models, registered, and the segmenter of another seed."""
    first = json.loads(own_team.iip("models", "register", "--json").stdout)
    seed = {"IIP_SEGMENTER__SEED": "7"}
    done = own_team.iip("models", "register", "segmenter", "--json", variables=seed)
    own_team.refresh()
    rows: list[dict[str, Any]] = [*first, *json.loads(done.stdout)]
    return rows


def listed(own_team: Team, *words: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(own_team.iip("models", "list", "--json", *words).stdout)
    return rows


def test_a_version_says_what_it_was_made_of_and_has_a_card(
    own_team: Team, registered: list[dict[str, Any]]
) -> None:
    assert [(row["model"], row["version"]) for row in registered] == [
        ("filter", 1),
        ("segmenter", 1),
        ("segmenter", 2),
    ]
    pointer = (own_team.root / "data.dvc").read_text()
    for row in registered:
        assert row["data_revision"] in pointer
        assert row["git_commit"][:40] == own_team.git("rev-parse", "HEAD")
        card = (Path(row["folder"]) / "model_card.md").read_text()
        assert row["data_revision"] in card
        assert "too small to judge" in card
        validation = pl.read_parquet(Path(row["folder"]) / "validation.parquet")
        assert set(validation["model"]) == {row["model"]}
        assert f"On the {validation['n_images'][0]} validation images of" in card
        assert "<script" not in (Path(row["folder"]) / "model_card.html").read_text()
    assert registered[1]["digest"] != registered[2]["digest"]


def test_registering_the_same_model_again_makes_no_version(
    own_team: Team, registered: list[dict[str, Any]]
) -> None:
    again = json.loads(own_team.iip("models", "register", "--json").stdout)
    assert [row["digest"] for row in again] == [row["digest"] for row in registered[:2]]
    assert len(listed(own_team)) == 3


def test_champions_are_promoted_compared_and_rolled_back_and_all_of_it_is_kept(
    own_team: Team, registered: list[dict[str, Any]]
) -> None:
    del registered
    own_team.iip("models", "promote", "segmenter", "1", "--why", "the first")
    # Its registration and its promotion are all that moved: two assets look at the registry.
    assert set(own_team.refresh()["computed"]) <= {"model_versions", "pipeline_report"}
    # With one test subject the gate cannot say that the second is as good, and so it does not.
    second = ("models", "promote", "segmenter", "2", "--why", "another seed")
    unjudged = own_team.iip(*second, check=False)
    assert unjudged.returncode == 1
    assert "of 1 subject are too few to judge by" in unjudged.stderr
    own_team.iip(*second, "--override", "nobody else to ask")
    found = json.loads(own_team.iip("models", "compare", "segmenter", "1", "2", "--json").stdout)
    assert {row["axis"] for row in found["slices"]} >= {"overall", "gender"}
    assert any(row["what"] == "segmenter.seed" for row in found["differs"])
    own_team.iip("models", "rollback", "segmenter", "--why", "looked worse by eye")
    moves = listed(own_team, "--history")
    assert [(row["before"], row["after"], row["back"]) for row in moves] == [
        (None, 1, False),
        (1, 2, False),
        (2, 1, True),
    ]
    assert moves[2]["reason"] == "looked worse by eye"
    assert [row["override"] for row in moves] == [None, "nobody else to ask", None]
    refused = own_team.iip("models", "rollback", "segmenter", check=False)
    assert refused.returncode == 1
    assert "nothing to go back to" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_registered_versions_survive_what_nothing_needs(
    own_team: Team, registered: list[dict[str, Any]]
) -> None:
    own_team.iip("gc", "--yes")
    assert len(listed(own_team)) == 3
    record = registered[2]
    traced = own_team.iip("models", "list", "--json")
    assert record["digest"] in traced.stdout
    assert own_team.status()["pipeline_report"]["state"] == "fresh"


def test_images_are_predicted_with_masks_and_a_stopped_run_goes_on(
    own_team: Team, registered: list[dict[str, Any]], tmp_path: Path
) -> None:
    del registered
    images = tmp_path / "images"
    for batch in sorted((own_team.root / "data" / "batches").iterdir())[:1]:
        for place, file in enumerate(sorted((batch / "images").iterdir())[:6]):
            target = images / str(place % 2) / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    (images / "broken.jpg").write_bytes(b"no image")
    out = tmp_path / "out"
    own_team.iip("predict", str(images), "--out", str(out))
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    verdicts = {row["path"]: row["verdict"] for row in rows}
    assert verdicts["broken.jpg"] == "unreadable"
    assert {row["segmenter_model"].split(" ")[0] for row in rows} == {"segmenter"}
    for row in rows:
        assert (row["mask"] != "") == (row["verdict"] == "pass")
        if row["mask"]:
            image = cv2.imread(str(images / row["path"]))
            mask = cv2.imread(str(out / row["mask"]), cv2.IMREAD_GRAYSCALE)
            assert mask is not None
            assert image is not None
            assert mask.shape == image.shape[:2]
            assert mask.max() < 4
    assert (out / "contact_sheet.png").stat().st_size > 1000
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*.png")}
    kept = [row for row in rows if row["path"] != "0/" + Path(rows[1]["path"]).name]
    with (out / "predictions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(kept[:3])
    own_team.iip("predict", str(images), "--out", str(out), "--sheet", "0")
    with (out / "predictions.csv").open() as file:
        assert list(csv.DictReader(file)) == rows
    kept_masks = {out / row["mask"] for row in kept[:3] if row["mask"]}
    assert all(file.stat().st_mtime_ns == before[file] for file in kept_masks)


def test_without_a_model_or_an_image_the_words_say_what_to_do(
    own_team: Team, tmp_path: Path
) -> None:
    empty = own_team.iip("predict", str(tmp_path), check=False)
    assert empty.returncode == 1
    assert "there is no image" in empty.stderr
    nowhere = own_team.iip("predict", str(tmp_path / "none.jpg"), check=False)
    assert "no such file" in nowhere.stderr
