"""No file of a batch is lost without a word, and nothing becomes an image by chance."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from iip_assets.dataset.raw import join_labels
from iip_assets.images.store import content_md5
from iip_assets.ingest.batch_check import present_data
from iip_assets.ingest.batch_files import list_batch
from iip_assets.ingest.formats.coco import convert_coco
from iip_assets.ingest.formats.labelstudio import convert_labelstudio
from iip_assets.ingest.ingest import ingest_folder
from iip_assets.ingest.verdict import Candidate, Ingested, decide
from iip_assets.settings import Settings
from iip_assets_tests.dataset.images import encoded, scene
from iip_assets_tests.dataset.team_workspace import drop, take
from iip_assets_tests.ingest.tool_exports import (
    MASK_CLASSES,
    cvat_export,
    cvat_image,
    studio_task,
    write_cvat,
    write_studio,
)

CSV = b"image,label\nimages/101.png,full\n"
IMAGE = encoded(scene(24, 32, 7), "PNG")
COCO = json.dumps({"images": [cvat_image(1, "101.png", width=0, height=0)], "annotations": []})
TASKS = json.dumps([{"id": 2, "data": {"image": "102.png"}}, studio_task(1, "101.png")])
MINIMAL = json.dumps([{"image": "101.png", "id": 1, "annotation_id": 1}])


def judged(
    root: Path, files: dict[str, bytes], *, labels: str | None = None, alone: bool = False
) -> tuple:
    """The verdict on a sound batch with further files, or on these alone, and what was logged."""
    folder = drop(root, "2026-01-odd", seeds=() if alone else (101, 102), labels=labels)
    if alone:
        (folder / "labels.csv").unlink()
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    listing = list_batch(folder, folder.name)
    said: list[str] = []
    candidate = Candidate(
        folder.name, folder, listing, listing.problems, root / "nowhere", False, "inbox/2026-01-odd"
    )
    result = decide(
        candidate,
        present=present_data({}, read=lambda _: b""),
        settings=Settings(),
        threads=1,
        log=said.append,
    )
    return result, "\n".join(said)


def told(result: Ingested) -> dict[str, str]:
    return {problem.file: f"{problem.reason}; {problem.fix}" for problem in result.problems}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("Labels.csv", "call it labels.csv"),
        ("labels.CSV", "call it labels.csv"),
        ("labels (1).csv", "call it labels.csv"),
        ("label.csv", "call it labels.csv"),
        ("lables.csv", "call it labels.csv"),
        ("Annotations.csv", "call it annotations.csv"),
        ("results.csv", "call it labels.csv"),
        ("table.tsv", "call it labels.csv"),
        ("labels.xlsx", "the form of labels.csv"),
        ("annotations.xml", "the form of labels.csv"),
        ("labels/101.txt", "the form of labels.csv"),
        ("day 2/labels.csv", "ingest that one"),
        ("images/labels.csv", "move it there"),
        ("masks/labels.csv", "move it there"),
        ("images/101.json", "labels come in labels.csv, or as an export of COCO"),
        ("images/101.txt", "labels come in labels.csv, or as an export of COCO"),
        ("images/101.XML", "labels come in labels.csv, or as an export of COCO"),
        ("images/metadata.csv", "labels come in labels.csv, or as an export of COCO"),
        ("images/101.gif", "save it as one of"),
        ("masks/readme.txt", "move it out of masks/"),
    ],
)
def test_labels_that_no_reader_reads_send_the_batch_back(tmp_path, path, words):
    result, _ = judged(tmp_path, {path: CSV.replace(b",", b"\t") if "tsv" in path else CSV})
    assert result.verdict == "rejected"
    assert list(told(result)) == [path]
    assert words in told(result)[path]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("annotations/instances_default.json", "coco"),
        ("Annotations/instances.json", "coco"),
        ("export/annotations/instances_train.json", "coco"),
        ("result.json", "coco"),
        ("META.JSON", "coco"),
        ("train/_annotations.coco.json", "coco"),
        ("masks/result.json", "coco"),
        ("images/result.json", "coco"),
        ("project-3-at-2026.json", "labelstudio"),
        ("annotations/tasks.json", "labelstudio"),
        ("images/tasks.JSON", "labelstudio"),
    ],
)
@pytest.mark.parametrize("beside", [b"{}", b"[1]", None], ids=["object", "list", "other tool"])
def test_an_export_is_recognised_and_what_is_offered_works(tmp_path, path, form, beside):
    data = {"coco": COCO, "labelstudio": MINIMAL if path.endswith(".JSON") else TASKS}
    (other,) = data.keys() - {form}
    others = {"notes.json": data[other].encode() if beside is None else beside}
    # What would be named without the export is no news: its masks are not known yet.
    more = {"a.png": IMAGE, "masks/101.png": IMAGE, **others}
    result, _ = judged(tmp_path, {path: data[form].encode(), **more}, labels="")
    found = told(result)
    assert f"`iip ingest inbox/2026-01-odd --format {form}`" in found[path]
    assert not found.keys() & {"a.png", "masks/101.png"}
    convert = {"coco": convert_coco, "labelstudio": convert_labelstudio}[form]
    made = convert(tmp_path / "2026-01-odd", tmp_path / "out", mask_classes=MASK_CLASSES)
    assert made.problems == ()
    assert {"labels.csv", "notes.json"} <= set(made.unread)
    assert path not in made.unread


@pytest.mark.parametrize(
    "path",
    [
        "Masks/101.png",
        "mask/101.png",
        "masks_png/101.png",
        "overlays/101.png",
        "SegmentationClass/101.png",
        "SegmentationObject/101.PNG",
        "101_mask.png",
        "thumbs/101.jpg",
    ],
)
def test_what_no_row_names_outside_of_images_becomes_no_image(tmp_path, path):
    result, _ = judged(tmp_path, {path: IMAGE})
    assert (result.verdict, result.images) == ("rejected", 2)
    assert list(told(result)) == [path]


@pytest.mark.parametrize("path", ["images/@eaDir/101.png/thumb.png", "__MACOSX/images/101.png"])
def test_thumbnails_and_doubles_that_systems_leave_are_no_part_of_the_batch(tmp_path, path):
    result, _ = judged(tmp_path, {path: IMAGE})
    assert (result.verdict, result.images) == ("sound", 2)


@pytest.mark.parametrize("path", ["a.png", "day 1/a.png", "Images/a.png", "site/images/a.png"])
def test_what_a_row_names_is_an_image_wherever_it_lies(tmp_path, path):
    result, _ = judged(tmp_path, {path: IMAGE}, labels=f"image,label\n{path},full\n")
    assert (result.verdict, result.images) == ("sound", 3)


def test_what_else_is_in_a_batch_is_named(tmp_path):
    result, said = judged(
        tmp_path,
        {"notes.txt": b"x", "camera.json": b"{}", "times.csv": b"at,value\n", "LABELING.md": b"x"},
        labels="image,label\nimages/101.png,full\n",
    )
    assert result.verdict == "sound"
    assert result.unread == ("camera.json", "notes.txt", "times.csv")
    assert "read by nothing: camera.json, notes.txt, times.csv" in said
    assert "no row names them: images/102.png" in said


@pytest.mark.parametrize(
    ("form", "path"), [("coco", "labels.csv"), ("labelstudio", "images/default/b.png")]
)
def test_files_of_an_export_that_no_entry_names_are_named_and_never_deleted(team, form, path):
    folder = team / "rejected" / "2026-05-export"
    document = cvat_export(folder)
    if form == "coco":
        write_cvat(folder, document)
    else:
        write_studio(folder, [studio_task(1, "a.png")])
    (folder / path).write_bytes(IMAGE)
    (folder / "READY").touch()
    (folder / "errors.csv").touch()
    said: list[str] = []
    result = ingest_folder(team, folder, form=form, log=said.append)
    assert (result.verdict, result.images) == ("taken", 1)
    assert result.unread == (path,)
    assert any(f"not in the data: {path}" in line for line in said)
    assert any(f"{folder} was left" in line for line in said)
    assert (folder / path).read_bytes() == IMAGE
    assert not {"READY", "errors.csv"} & {file.name for file in folder.iterdir()}


@pytest.mark.parametrize(("dry_run", "place"), [(True, "inbox"), (False, "rejected")])
def test_the_command_that_is_offered_names_the_folder_where_it_is_then(team, dry_run, place):
    folder = write_studio(team / "inbox" / "2026-05-export", [studio_task(1, "a.png")])
    (problem,) = take(team, folder, dry_run=dry_run).problems
    assert problem.fix == f"`iip ingest {place}/2026-05-export --format labelstudio`"
    assert (team / place / "2026-05-export").is_dir()


def test_the_other_tools_export_is_told_apart(team):
    folder = write_studio(team / "inbox" / "2026-05-export", [studio_task(1, "a.png")])
    (problem,) = take(team, folder, form="coco").problems
    assert problem.fix == "ingest it with --format labelstudio"


MASK = cv2.imencode(".png", np.ones((24, 32), np.uint8))[1].tobytes()
ANOTHER = encoded(scene(24, 32, 8), "PNG")


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.jpg", "masks/a.png"),
        ("images/site/a.png", "masks/site/a.png"),
        ("site/images/a.png", "site/masks/a.png"),
        ("Images/a.png", "Masks/a.png"),
    ],
)
def test_without_rows_a_mask_is_that_of_the_image_of_its_name(
    tmp_path: Path, image: str, mask: str
) -> None:
    files = {image: IMAGE, mask: MASK, "images/unmarked.png": ANOTHER}
    result, _ = judged(tmp_path, files, alone=True)
    assert (told(result), result.images) == ({}, 2)
    manifest = {f"batches/b/{path}": content_md5(data) for path, data in files.items()}
    found = join_labels(manifest, read=lambda _: b"").images
    masked = found.filter(pl.col("mask_id").is_not_null())
    assert masked["path"].to_list() == [f"batches/b/{image}"]
    assert masked["mask_path"].to_list() == [f"batches/b/{mask}"]
    assert found.height == 2


@pytest.mark.parametrize(
    "files",
    [
        {"images/a.png": IMAGE, "masks/b.png": MASK},
        {"images/a.png": IMAGE, "images/a.jpg": ANOTHER, "masks/a.png": MASK},
        {"images/a.png": IMAGE, "masks/a.png": MASK, "masks/a.bmp": MASK},
    ],
    ids=["of no image", "of two images", "two of one image"],
)
def test_without_rows_a_mask_that_may_be_of_another_image_sends_the_batch_back(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    result, _ = judged(tmp_path, files, alone=True)
    assert all("there is no labels.csv" in words for words in told(result).values())
    assert any(path.startswith("masks/") for path in told(result))


def test_one_image_under_two_names_with_two_masks_is_asked_about(tmp_path: Path) -> None:
    other = cv2.imencode(".png", np.zeros((24, 32), np.uint8))[1].tobytes()
    files = {"images/a.png": IMAGE, "masks/a.png": MASK, "images/b.png": IMAGE}
    same, _ = judged(tmp_path / "same", files | {"masks/b.png": MASK}, alone=True)
    assert told(same) == {}
    result, _ = judged(tmp_path / "differ", files | {"masks/b.png": other}, alone=True)
    assert sorted(told(result)) == ["masks/a.png", "masks/b.png"]
    assert all("twice, each time with another mask" in words for words in told(result).values())


def mask(*classes: int) -> bytes:
    """A mask of the images' size with a stripe of each class."""
    stripes = np.array_split(np.zeros((24, 32), np.uint8), len(classes))
    return encoded(
        np.vstack([part + one for part, one in zip(stripes, classes, strict=True)]), "PNG"
    )


@pytest.mark.parametrize(
    ("masks", "asked"),
    [
        ([(0, 255), (0,)], True),
        ([(255, 0), (0, 255)], True),
        ([(0, 255), (0, 2)], False),
        ([(0, 255), (255, 1)], False),
        ([(255,), (255,)], False),
        ([(0,), (0,)], False),
        ([(0, 2, 255), (0,)], False),
    ],
)
def test_masks_that_are_white_on_black_are_asked_about(
    tmp_path: Path, masks: list[tuple[int, ...]], asked: bool
) -> None:
    one, other = (mask(*classes) for classes in masks)
    files = {"images/a.png": IMAGE, "masks/a.png": one, "images/b.png": ANOTHER}
    result, _ = judged(tmp_path, files | {"masks/b.png": other}, alone=True)
    assert list(told(result)) == (["masks/a.png"] if asked else [])
    assert all("2 is iris" in words and "255" in words for words in told(result).values())


def test_a_mask_of_another_size_is_told_by_its_own_name(tmp_path: Path) -> None:
    wide = cv2.imencode(".png", np.ones((24, 40), np.uint8))[1].tobytes()
    result, _ = judged(tmp_path, {"images/a.png": IMAGE, "masks/a.png": wide}, alone=True)
    assert list(told(result)) == ["masks/a.png"]
    assert "40×24" in told(result)["masks/a.png"]
