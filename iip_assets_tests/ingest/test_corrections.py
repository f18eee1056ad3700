"""A batch of corrections says so, and one label is corrected in one line."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from iip_assets.cli.main import app
from iip_assets.dataset.raw import join_labels
from iip_assets.images.store import ImageStore, content_md5
from iip_assets.ingest.correction import correct_label
from iip_assets_tests.dataset.team_workspace import drop, files_of, manifest_of, subjects, take

OLD = "batches/2026-01/images"


def old_id(root, name: str = "a.jpg") -> str:
    return content_md5((root / "data" / OLD / name).read_bytes())


def labels_of(root) -> dict[str, str]:
    raw = join_labels(manifest_of(root), ImageStore.open(root).read)
    return dict(raw.images.select("path", "label").rows())


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("image,label\n{a},partial\n", "1 label corrected"),
        ("image,label\n{a},partial\n{b},full\n", "2 labels corrected"),
        ("image,age_years\n{a},34\n", "1 fact corrected"),
        ("image,label,age_years\n{a},full,34\n{b},,3\n", "1 label corrected, 2 facts corrected"),
        (f"image,label\n{OLD}/a.jpg,partial\n", "1 label corrected"),
    ],
)
def test_a_batch_of_corrections_says_what_it_corrects(team, rows, words):
    text = rows.format(a=old_id(team), b=old_id(team, "b.png")[:8])
    result = take(team, drop(team / "inbox", "2026-05-fix", seeds=(), labels=text))
    assert (result.verdict, result.words) == ("taken", words)
    assert subjects(team)[0] == f"Ingest 2026-05-fix: {words}"


def test_opinions_on_images_of_the_data_are_no_corrections(team):
    folder = drop(team / "inbox", "2026-05-more", seeds=())
    (folder / "labels.csv").unlink()
    (folder / "annotations.csv").write_text(
        f"image,labeler,label\n{old_id(team)},ann,full\n{old_id(team)},bob,none\n"
    )
    assert take(team, folder).words == "2 annotations"


def test_a_batch_of_images_counts_corrections_beside_them(team):
    text = f"image,label\nimages/101.png,full\n{old_id(team)},none\n"
    folder = drop(team / "inbox", "2026-05", seeds=(101,), labels=text)
    assert take(team, folder).words == "1 image, 1 of them new, 1 label corrected"


NAMES = ["path", "path below data", "path from here", "absolute path", "id", "short id"]


@pytest.mark.parametrize("named", NAMES)
def test_one_label_is_corrected_by_path_or_id(team, monkeypatch, named):
    image = {
        "path": f"{OLD}/a.jpg",
        "path below data": f"data/{OLD}/a.jpg",
        "path from here": f"./../data/{OLD}/a.jpg",
        "absolute path": str(team / "data" / OLD / "a.jpg"),
        "id": old_id(team),
        "short id": old_id(team)[:8],
    }[named]
    monkeypatch.chdir(team / "inbox")
    done = CliRunner().invoke(app, ["label", image, "Partial", "--labeler", "ann", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["verdict"], told["images"], told["corrections"]) == ("taken", 0, {"label": 1})
    assert labels_of(team) == {f"{OLD}/a.jpg": "partial", f"{OLD}/b.png": "none"}
    assert files_of(team, told["batch"]) == ["labels.csv"]
    assert subjects(team)[0].endswith(": 1 label corrected")


@pytest.mark.parametrize("newest", ["2020-01-old", "2999-12-far", "zzz"])
def test_a_corrected_label_counts_whatever_batches_are_called(team, newest):
    take(team, drop(team / "inbox", newest, labels=f"image,label\n{old_id(team)},full\n"))
    for label in ("unclear", "none"):
        correct_label(team, old_id(team), label, log=lambda _: None)
        assert labels_of(team)[f"{OLD}/a.jpg"] == label


def test_a_label_that_counts_already_is_not_said_again(team):
    said = []
    for label, labeler, verdict in (
        ("partial", None, "taken"),
        ("Partial", None, "present"),
        ("partial", "ann", "taken"),  # now it is known whose it is
        ("partial", "ann", "present"),
        ("partial", None, "present"),
        ("full", None, "taken"),
        ("partial", "ann", "taken"),
    ):
        before = manifest_of(team), subjects(team)
        made = correct_label(team, old_id(team), label, labeler=labeler, log=said.append)
        assert made.verdict == verdict
        assert ((manifest_of(team), subjects(team)) == before) == (verdict == "present")
    assert sum("is labelled partial already" in words for words in said) == 3


@pytest.mark.parametrize(
    ("image", "label", "error", "words"),
    [
        ("nowhere.jpg", "full", LookupError, "is no image of the data"),
        ("0" * 32, "full", LookupError, "no image in the data has this id"),
        ("a.jpg", "full", LookupError, "is no image of the data"),
        (f"{OLD}/a.jpg", "fulll", ValueError, "write one of full, partial"),
        (f"{OLD}/a.jpg", "", ValueError, "none, unclear$"),
        ("../elsewhere/a.jpg", "full", LookupError, "is no image of the data"),
    ],
)
def test_what_is_no_image_or_no_label_changes_nothing(team, image, label, error, words):
    before = manifest_of(team)
    with pytest.raises(error, match=words):
        correct_label(team, image, label, log=lambda _: None)
    assert manifest_of(team) == before
