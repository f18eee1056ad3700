"""What is wrong with an export is told of the files that people have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from iip_assets.dataset.problems import Problem
from iip_assets_tests.dataset.images import encoded, png_header, scene
from iip_assets_tests.dataset.team_workspace import take
from iip_assets_tests.ingest.tool_exports import (
    cvat_export,
    cvat_image,
    cvat_shape,
    studio_annotation,
    studio_choice,
    studio_task,
    write_cvat,
    write_image,
    write_studio,
)

NAME = "2026-05-export"
JSON = {"coco": "annotations/instances_default.json", "labelstudio": "project.json"}


def export(root: Path, form: str, *facts: dict, image: bytes | None = None) -> Path:
    """An export of images a.png, b.png… in clinic/, with these facts."""
    folder = root / "inbox" / NAME
    names = [f"clinic/{letter}.png" for letter, _ in zip("abc", facts, strict=False)]
    for seed, name in enumerate(names):
        write_image(folder, name, seed=seed)
    if image is not None:
        (folder / names[0]).write_bytes(image)
    if form == "coco":
        entries = [
            cvat_image(n, name, attributes=fact, width=0, height=0)
            for n, (name, fact) in enumerate(zip(names, facts, strict=True), start=1)
        ]
        document = {**cvat_export(folder), "images": entries, "annotations": []}
        (folder / "images" / "default" / "a.png").unlink()
        return write_cvat(folder, document)
    tasks = [
        studio_task(n, name, **fact)
        for n, (name, fact) in enumerate(zip(names, facts, strict=True), start=1)
    ]
    return write_studio(folder, tasks, "project.json")


def problem(root: Path, folder: Path, form: str) -> Problem:
    result = take(root, folder, form=form)
    assert result.verdict == "rejected"
    return result.problems[0]


@pytest.mark.parametrize("form", JSON)
@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("age_years", "34 y", "not a number"),
        ("Age_Years", "-3", "not an age"),
        ("eye", "middle", "not a word"),
        ("captured_at", "yesterday", "not a date"),
        ("device", "x" * 199 + "\u00e9" * 2, "at most 200"),
    ],
)
def test_a_value_is_told_by_file_entry_and_field(team, form, column, value, reason):
    folder = export(team, form, {"site": "north"}, {column: value})
    found = problem(team, folder, form)
    place = {"coco": "images.attributes", "labelstudio": "data"}[form]
    assert (found.file, found.row) == (JSON[form], 2)
    assert found.column.lower() == f"{place}.{column}".lower()
    assert reason in found.reason


@pytest.mark.parametrize("form", JSON)
def test_an_image_is_told_by_its_path_in_the_export(team, form):
    found = problem(team, export(team, form, {}, image=png_header(60_000, 60_000)), form)
    assert (found.file, found.row) == ("clinic/a.png", None)
    assert "megapixels" in found.reason


def test_an_answer_is_told_by_the_result(team):
    folder = team / "inbox" / NAME
    write_image(folder, "a.png")
    annotation = studio_annotation(studio_choice("full"), studio_choice("middle", "eye"))
    write_studio(folder, [studio_task(1, "a.png", annotation)], "project.json")
    found = problem(team, folder, "labelstudio")
    assert (found.file, found.row, found.column) == ("project.json", 1, "annotations.result.eye")


def test_entries_that_contradict_each_other_are_named_by_their_numbers(team):
    folder = export(team, "coco", {"eye": "left"}, {}, {"eye": "right"})
    (folder / "clinic" / "c.png").write_bytes((folder / "clinic" / "a.png").read_bytes())
    result = take(team, folder, form="coco")
    assert [(one.row, one.value) for one in result.problems] == [
        (1, "clinic/a.png"),
        (3, "clinic/c.png"),
    ]
    assert "entries 1, 3 name the same image and differ in eye" in result.problems[0].reason


@pytest.mark.parametrize("form", ["coco", "labelstudio"])
def test_an_export_in_parts_is_one_batch_and_the_images_of_each_lie_beside_it(team, form):
    folder = team / "inbox" / NAME
    for seed, part in enumerate(("train", "valid")):
        write_image(folder, f"{part}/a.png", seed)
        images = [cvat_image(1, "a.png")]
        coco = {"images": images, "annotations": [], "categories": []}
        document = coco if form == "coco" else [studio_task(1, "a.png")]
        (folder / part / "_annotations.coco.JSON").write_text(json.dumps(document))
    result = take(team, folder, form=form)
    assert (result.verdict, result.images, result.unread) == ("taken", 2, ())


def test_images_below_folders_of_that_name_and_their_masks_are_taken(team):
    """The mask of clinic/images/a.png is masks/clinic/images/a.png."""
    folder = team / "inbox" / NAME
    write_image(folder, "clinic/images/a.png", seed=5)
    document = cvat_export(
        folder,
        images=[cvat_image(1, "clinic/images/a.png")],
        annotations=[cvat_shape(1, 2, {"counts": [14, 2, 32], "size": [6, 8]})],
    )
    assert take(team, write_cvat(folder, document), form="coco").verdict == "taken"


@pytest.mark.parametrize("mask", ["masks/images/a.png", "images/masks/a.png", "Masks/Images/a.png"])
def test_a_mask_in_a_folder_of_images_is_a_mask(team, mask):
    folder = team / "inbox" / NAME
    write_image(folder, "images/a.png", seed=5)
    (folder / mask).parent.mkdir(parents=True)
    (folder / mask).write_bytes(encoded(scene(6, 8)[:, :, 0] // 128, "PNG"))
    (folder / "labels.csv").write_text(f"image,mask\nimages/a.png,{mask}\n")
    result = take(team, folder)
    assert (result.verdict, result.images) == ("taken", 1)
