"""A batch whose annotations.csv has a fault is sent back; one of annotations alone is taken."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from iip_assets.dataset.raw import join_labels
from iip_assets.images.store import ImageStore, content_md5
from iip_assets.ingest.export_rows import rows_to_export
from iip_assets.ingest.inbox import waiting_batches
from iip_assets_tests.dataset.images import encoded
from iip_assets_tests.dataset.team_workspace import drop, manifest_of, take

NAME = "2026-05-second-opinions"
HEADER = "image,labeler,label,mask,labeled_at\n"


def mask(height: int = 24, width: int = 32, value: int = 1) -> bytes:
    return encoded(np.full((height, width), value, np.uint8), "PNG")


def annotated(place: Path, rows: str, masks: dict[str, bytes] | None = None) -> Path:
    """A batch of two images with labels and the rows as annotations.csv."""
    folder = drop(place, NAME)
    (folder / "annotations.csv").write_text(HEADER + rows)
    for path, data in (masks or {}).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def test_masks_that_only_annotations_name_join_the_data(team):
    rows = "images/101.png,ann,full,masks/ann.png,\nimages/101.png,bob,none,masks/bob.png,\n"
    masks = {"masks/ann.png": mask(), "masks/bob.png": mask(value=2)}
    result = take(team, annotated(team / "inbox", rows, masks))
    assert (result.verdict, result.images) == ("taken", 2)
    raw = join_labels(manifest_of(team), ImageStore.open(team).read)
    said = raw.label_rows.drop_nulls("labeler").select("labeler", "label", "mask_id").rows()
    assert sorted(said) == [
        ("ann", "full", content_md5(masks["masks/ann.png"])),
        ("bob", "none", content_md5(masks["masks/bob.png"])),
    ]


def test_a_batch_may_ask_more_people_about_images_of_the_data(team):
    known = sorted({md5 for path, md5 in manifest_of(team).items() if path.endswith(".jpg")})
    folder = team / "inbox" / NAME
    folder.mkdir()
    (folder / "annotations.csv").write_text(HEADER + f"{known[0]},ann,none,,\n")
    assert take(team, folder).verdict == "taken"


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        ("images/999.png,ann,full,,", "image", "images/999.png", "no such file"),
        ("images/101.png,ann,whole,,", "label", "whole", "not a word"),
        ("images/101.png,ann,,masks/small.png,", "mask", "masks/small.png", "8×8 pixels"),
        ("images/101.png,ann,,masks/odd.png,", "mask", "masks/odd.png", "values 77"),
        ("images/101.png,ann,,../../data/x.png,", "mask", "../../data/x.png", "leaves the batch"),
    ],
    ids=["unknown image", "unknown word", "size", "class", "path"],
)
def test_a_bad_annotation_sends_the_batch_back_with_what_to_mend(team, row, column, value, reason):
    before = manifest_of(team)
    masks = {}
    for name, data in (("small", mask(8, 8)), ("odd", mask(value=77))):
        if f"masks/{name}.png" in row:
            masks[f"masks/{name}.png"] = data
    result = take(team, annotated(team / "inbox", f"images/102.png,bob,full,,\n{row}\n", masks))
    assert result.verdict == "rejected"
    assert manifest_of(team) == before
    with (result.rejected_to / "errors.csv").open(newline="") as file:
        (error,) = csv.DictReader(file)
    assert (error["file"], error["row"]) == ("annotations.csv", "3")
    assert (error["column"], error["value"]) == (column, value)
    assert reason in error["reason"]
    assert error["fix"]


def test_a_mask_that_no_row_names_is_told(team):
    result = take(team, annotated(team / "inbox", "", {"masks/ann.png": mask()}))
    assert "no row of labels.csv or annotations.csv names it" in result.problems[0].reason


def test_a_changed_annotation_is_another_drop(team):
    folder = annotated(team / "inbox", "images/101.png,ann,full,,\n")
    (before,) = waiting_batches(team)
    (folder / "annotations.csv").write_text(HEADER + "images/101.png,ann,none,,\n")
    (after,) = waiting_batches(team)
    assert before.fingerprint != after.fingerprint


def test_annotations_go_out_beside_the_label_that_counts(team):
    rows = "images/101.png,ann,none,,\nimages/102.png,bob,none,,\n"
    take(team, annotated(team / "inbox", rows))
    raw = join_labels(manifest_of(team), ImageStore.open(team).read)
    out = rows_to_export(raw.images, raw.label_rows, batch=NAME)
    said = [[(one.labeler, one.label) for one in image.opinions] for image in out]
    assert said == [[(None, "full"), ("ann", "none")], [(None, "full"), ("bob", "none")]]
