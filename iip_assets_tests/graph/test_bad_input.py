"""A hostile batch: every bad thing is named so that a person can fix it, and the run goes on."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from iip_assets.loading import load
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.graph.conftest import TINY, Team
from iip_assets_tests.graph.hostile import (
    BATCH,
    HEIGHT,
    UNDECODABLE,
    UNUSUAL,
    WIDTH,
    write_hostile_batch,
)
from iip_assets_tests.graph.warm import run_warm

pytestmark = pytest.mark.slow

SOUND = 30
# Four of 42 images cannot be decoded: fewer than this workspace allows, more than the default.
TOLERANT = TINY + "\n[dataset]\nmax_undecodable_share = 0.1\n"
DATA_SIDE = ("quarantine", "image_statistics", "image_embeddings", "data_splits")
LABELS = f"batches/{BATCH}/labels.csv"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Team:
    """A workspace of its own with 30 sound eyes and the hostile batch, the data side refreshed."""
    root = tmp_path_factory.mktemp("hostile") / "workspace"
    run_warm(("iip", "init", str(root)), cwd=root.parent, variables={}).check_returncode()
    data = root / "data"
    write_dataset(
        data / "batches",
        images=SOUND,
        seed=7,
        batches=1,
        truth=root / "truth.csv",
        labeling=data / "LABELING.md",
    )
    write_hostile_batch(data)
    (root / "iip.toml").write_text(TOLERANT)
    made = Team(root)
    made.dvc("add", "--quiet", "data")
    found = made.refresh(*DATA_SIDE)
    assert not found["blocked"], found
    return made


@pytest.fixture(scope="module")
def quarantine(hostile: Team) -> pl.DataFrame:
    table: pl.DataFrame = load("quarantine", root=hostile.root)
    return table


@pytest.fixture(scope="module")
def images(hostile: Team) -> pl.DataFrame:
    """The table of images, with the last part of each path as `name`."""
    table: pl.DataFrame = load("raw_dataset", root=hostile.root)["images"]
    return table.with_columns(name=pl.col("path").str.split("/").list.last())


def image_id(images: pl.DataFrame, name: str) -> str:
    return str(images.row(by_predicate=pl.col("name") == name, named=True)["image_id"])


def test_everything_else_is_used(hostile: Team) -> None:
    usable = SOUND + 1 + 7  # data/x.jpg, and what is sound in the batch
    assert load("image_fingerprints", root=hostile.root).height == usable + len(UNDECODABLE)
    assert load("data_splits", root=hostile.root).height == usable
    assert load("image_embeddings", root=hostile.root).height == usable
    assert load("image_statistics", root=hostile.root)["brightness"].count() == usable


def test_nothing_that_is_sound_is_in_quarantine(quarantine: pl.DataFrame) -> None:
    assert quarantine["what"].to_list() == ["image"] * 4 + ["mask"] * 2 + ["label"] * 5
    assert set(quarantine["batch"]) == {BATCH}


@pytest.mark.parametrize(
    ("what", "file", "reason", "fix"),
    [
        ("image", "images/truncated.jpg", "the file is cut short", "a sound copy or delete it"),
        ("image", "images/empty.jpg", "the file is empty (0 bytes)", "a sound copy or delete it"),
        ("image", "images/text.jpg", "a text file, no image", "a sound copy"),
        ("image", "images/bomb.png", "30000×30000 is 900 megapixels, more than 50", "delete it"),
        ("mask", "masks/small.png", "is 32×24 pixels, its image 64×48", "fix the mask as said"),
        ("mask", "masks/odd_class.png", "has values 9; known are 0 to 3 and 255", "as said"),
    ],
)
def test_a_bad_file_is_named_with_why_and_mend(
    quarantine: pl.DataFrame, images: pl.DataFrame, what: str, file: str, reason: str, fix: str
) -> None:
    path = f"batches/{BATCH}/{file}"
    row = quarantine.row(by_predicate=pl.col("path") == path, named=True)
    assert row["what"] == what
    assert reason in row["reason"]
    assert fix in row["fix"]
    assert "`dvc add` on " in row["fix"]
    named = "mask_path" if what == "mask" else "path"
    assert row["image_id"] == images.row(by_predicate=pl.col(named) == path, named=True)["image_id"]


@pytest.mark.parametrize(
    ("number", "column", "value", "reason", "fix"),
    [
        (11, "age_years", "-3", "not an age between 0 and 120", "write the age in years"),
        (12, "image", "../../x.jpg", "leaves the batch's folder", "put the file into the batch"),
        (13, "image", "images/twice.jpg", "rows 13, 14 name the same image", "keep the row that"),
        (14, "image", "images/twice.jpg", "differ in label", "keep the row that is right"),
        (15, "image", "images/gone.jpg", "no such file", "put images/gone.jpg into the batch"),
    ],
    ids=["age", "path_outside", "one_of_two", "the_other_of_two", "missing_file"],
)
def test_a_bad_row_is_named_with_row_column_value_why_and_mend(
    quarantine: pl.DataFrame, number: int, column: str, value: str, reason: str, fix: str
) -> None:
    row = quarantine.row(by_predicate=pl.col("row") == number, named=True)
    assert (row["what"], row["path"], row["column"], row["value"]) == (
        "label",
        LABELS,
        column,
        value,
    )
    assert reason in row["reason"]
    assert fix in row["fix"]
    assert "`dvc add` on " in row["fix"]


@pytest.mark.parametrize("name", ["young.jpg", "twice.jpg", "x.jpg"])
def test_a_bad_row_labels_nothing_and_its_image_stays(images: pl.DataFrame, name: str) -> None:
    row = images.row(by_predicate=pl.col("name") == name, named=True)
    assert (row["label"], row["age_years"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "width", "height"),
    [
        ("cmyk.jpg", WIDTH, HEIGHT),
        ("deep.png", WIDTH, HEIGHT),
        pytest.param("turned.jpg", HEIGHT, WIDTH, id="exif_turned_is_upright"),
    ],
)
def test_an_unusual_image_is_used_at_its_right_size(
    hostile: Team, images: pl.DataFrame, name: str, width: int, height: int
) -> None:
    assert name in UNUSUAL
    one = pl.col("image_id") == image_id(images, name)
    prints = load("image_fingerprints", root=hostile.root).row(by_predicate=one, named=True)
    assert (prints["width"], prints["height"], prints["problem"]) == (width, height, None)
    statistics = load("image_statistics", root=hostile.root).row(by_predicate=one, named=True)
    # The renderings of one family of scenes: neither black nor burnt out, and in colour.
    assert 60 < statistics["brightness"] < 200
    assert statistics["saturation"] > 0.1
    assert load("image_embeddings", root=hostile.root).filter(one).height == 1
    assert load("data_splits", root=hostile.root).filter(one).height == 1


@pytest.mark.parametrize("name", UNDECODABLE)
def test_an_undecodable_image_is_measured_and_used_nowhere(
    hostile: Team, images: pl.DataFrame, name: str
) -> None:
    one = pl.col("image_id") == image_id(images, name)
    for asset in ("data_splits", "image_embeddings"):
        assert load(asset, root=hostile.root).filter(one).is_empty()
    measured = load("image_statistics", root=hostile.root).filter(one).drop("image_id")
    assert all(value is None for row in measured.rows() for value in row)


@pytest.mark.parametrize("name", ["small_mask.jpg", "odd_class.jpg"])
def test_an_image_with_a_bad_mask_is_used_without_it(
    hostile: Team, images: pl.DataFrame, name: str
) -> None:
    one = pl.col("image_id") == image_id(images, name)
    dealt = load("data_splits", root=hostile.root).row(by_predicate=one, named=True)
    assert dealt["has_mask"] is False
    statistics = load("image_statistics", root=hostile.root).row(by_predicate=one, named=True)
    assert statistics["brightness"] is not None
    assert statistics["iris_visibility"] is None


def test_an_unknown_column_is_kept_as_a_tag(images: pl.DataFrame) -> None:
    row = images.row(by_predicate=pl.col("name") == "cmyk.jpg", named=True)
    assert json.loads(row["tags"]) == {"site": "Lagos"}
    assert row["label"] == "full"


def test_too_many_undecodable_images_block_all_below_until_the_data_is_mended(
    hostile: Team,
) -> None:
    """One test, since each step stands on the one before; it changes the workspace, so it is last.

    The share is too large as soon as the workspace allows no more than the default does.
    """
    (hostile.root / "iip.toml").write_text(TINY)
    below = {"quarantine", "data_splits", "image_embeddings", "edge_case_clusters"}
    found = hostile.refresh(*below)
    # The check judges the same table again; no image is looked at.
    assert (found["computed"], found["described"]) == ([], ["image_fingerprints"])
    assert found["images"]["image_fingerprints"] == {"computed": 0, "reused": 42}
    assert below <= found["blocked"].keys()

    status = hostile.status()
    assert status["image_fingerprints"]["state"] == "fresh"
    for name in ("quarantine", "data_splits", "image_embeddings"):
        assert status[name]["state"] == "blocked"
        reasons = status[name]["reasons"]
        assert reasons == ["the check undecodable_share of image_fingerprints failed"]
    assert status["edge_case_clusters"]["state"] == "blocked"
    assert status["edge_case_clusters"]["reasons"] == ["upstream image_embeddings is blocked"]
    assert status["pipeline_report"]["state"] == "blocked"

    # The quarantine is blocked too, so the check's own asset says which files to fix.
    shown = json.loads(hostile.iip("show", "image_fingerprints", "--json").stdout)
    (check,) = shown["checks"]
    assert check["description"] == (
        "9.5% of 42 images cannot be decoded, 5.0% may; `iip show image_fingerprints` names them."
    )
    named = shown["metadata"]["undecodable_images"]
    assert {Path(row["path"]).name for row in named} == set(UNDECODABLE)
    assert all(row["reason"] and row["fix"] for row in named)

    again = hostile.refresh(*below)
    assert (again["computed"], again["run_id"]) == ([], None)
    assert below <= again["blocked"].keys()

    for name in UNDECODABLE:
        (hostile.root / "data" / "batches" / BATCH / "images" / name).unlink()
    hostile.dvc("add", "--quiet", "data")
    mended = hostile.refresh(*DATA_SIDE)
    assert mended["blocked"] == {}
    assert mended["images"]["image_embeddings"] == {"computed": 0, "reused": 38}
    assert set(load("quarantine", root=hostile.root)["what"]) == {"mask", "label"}
