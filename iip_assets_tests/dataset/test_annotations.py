"""Each labeler's own word is kept beside the label that counts, and overrules none."""

from datetime import datetime

import polars as pl
import pytest

from iip_assets.dataset.labels import LabelFile, parse_annotations
from iip_assets.dataset.listing import KnownImages, Listing
from iip_assets.dataset.raw import files_to_read
from iip_assets.dataset.schema import label_rows_schema
from iip_assets.images.store import content_md5
from iip_assets_tests.dataset.team_workspace import joined

A, M, N = "a" * 32, "c" * 32, "e" * 32
OLD = "d" * 32
FILES = {"images/a.jpg": A, "masks/m.png": M, "masks/n.png": N}
HEADER = "image,labeler,label,mask,labeled_at\n"


def parse(text: str) -> LabelFile:
    return parse_annotations(
        text.encode(),
        batch="b1",
        file="annotations.csv",
        listing=Listing(FILES, KnownImages({one: one for one in (A, N, OLD)})),
    )


def test_every_column_is_read_and_more_columns_are_not():
    found = parse(
        "image,labeler,label,mask,labeled_at,comment\n"
        "images/a.jpg, Ann ,FULL,masks/m.png,2026-01-02T03:04:05,hard\n"
        f"{OLD.upper()},bob,unclear,,,\n"
    )
    assert not found.problems
    first, second = found.rows
    assert (first.image_id, first.labeler, first.label) == (A, "Ann", "full")
    assert (first.mask_id, first.mask_path) == (M, "masks/m.png")
    assert (first.labeled_at, first.tags) == (datetime(2026, 1, 2, 3, 4, 5), {})
    assert (second.image_id, second.label, second.mask_id) == (OLD, "unclear", None)


@pytest.mark.parametrize(
    ("row", "column", "value", "reason"),
    [
        ("images/x.jpg,ann,full,,", "image", "images/x.jpg", "no such file"),
        (f"{'9' * 32},ann,full,,", "image", "9" * 32, "no image in the data has this id"),
        ("../../x.jpg,ann,full,,", "image", "../../x.jpg", "leaves the batch"),
        ("images/a.jpg,ann,,../m.png,", "mask", "../m.png", "leaves the batch"),
        ("images/a.jpg,ann,,masks/x.png,", "mask", "masks/x.png", "no such file"),
        ("images/a.jpg,ann,fulll,,", "label", "fulll", "not a word"),
        ("images/a.jpg,,full,,", "labeler", "", "no labeler is named"),
        ("images/a.jpg,Unknown,full,,", "labeler", "Unknown", "no labeler is named"),
        ("images/a.jpg,ann,,,", "label", "", "neither a label nor a mask"),
        ("images/a.jpg,ann,full,,yesterday", "labeled_at", "yesterday", "not a date"),
    ],
)
def test_a_bad_row_is_told_by_row_column_value_and_mend(row, column, value, reason):
    found = parse(f"{HEADER}images/a.jpg,zoe,full,,\n{row}\n")
    (problem,) = found.problems
    assert (problem.file, problem.row, problem.column) == ("annotations.csv", 3, column)
    assert problem.value == value
    assert reason in problem.reason
    assert problem.fix
    assert [one.labeler for one in found.rows] == ["zoe"]


def test_a_file_without_labelers_is_no_file_of_annotations():
    (problem,) = parse("image,label\nimages/a.jpg,full\n").problems
    assert "lacks labeler" in problem.reason


def test_a_labelers_newest_word_counts_whatever_the_order_of_rows():
    (row,) = parse(
        f"{HEADER}images/a.jpg,ann,full,{N},2026-03-01\nimages/a.jpg,ann,none,masks/m.png,2026-01-01\n"
    ).rows
    assert (row.label, row.mask_id, row.mask_path) == ("full", N, None)
    # A newer row that is about the label alone takes no mask away.
    (row,) = parse(
        f"{HEADER}images/a.jpg,ann,none,masks/m.png,2026-01-01\nimages/a.jpg,ann,full,,2026-03-01\n"
    ).rows
    assert (row.label, row.mask_id, row.mask_path) == ("full", M, "masks/m.png")


@pytest.mark.parametrize("times", [("", ""), ("2026-01-01", ""), ("2026-01-01", "2026-01-01")])
def test_where_no_time_tells_which_is_newer_neither_is_used(times):
    found = parse(
        f"{HEADER}images/a.jpg,ann,full,,{times[0]}\nimages/a.jpg,ann,none,,{times[1]}\n"
        "images/a.jpg,bob,none,,\n"
    )
    assert [row.labeler for row in found.rows] == ["bob"]
    assert [problem.row for problem in found.problems] == [2, 3]
    assert all("differ in label" in problem.reason for problem in found.problems)


def test_the_same_word_said_twice_is_one():
    (row,) = parse(f"{HEADER}images/a.jpg,ann,full,,\nimages/a.jpg,ann,full,,\n").rows
    assert row.label == "full"


# In the data.

B1, B2 = "batches/2026-01", "batches/2026-02"
IMAGES = {
    f"{B1}/images/a.jpg": "A",
    f"{B1}/images/b.jpg": "B",
    f"{B1}/masks/a.png": "mask A",
    f"{B2}/drawn/a.png": "ann's mask",
}
ID_A, ID_B = content_md5(b"A"), content_md5(b"B")


def test_a_newer_annotation_overrules_no_label_and_no_mask():
    labels = {f"{B1}/labels.csv": "image,label,mask\nimages/a.jpg,full,masks/a.png\n"}
    opinions = {f"{B2}/annotations.csv": f"image,labeler,label,mask\n{ID_A},ann,none,drawn/a.png\n"}
    without, raw = joined(IMAGES | labels), joined(IMAGES | labels | opinions)
    told = without.images.filter(pl.col("image_id").is_in([ID_A, ID_B]))
    # Only a mask that nobody calls one is taken for an image.
    assert raw.images.equals(told)
    assert raw.label_rows.schema == pl.Schema(label_rows_schema())
    rows = raw.label_rows.select("batch", "file", "labeler", "label", "mask_id", "current").rows()
    assert rows == [
        ("2026-02", "annotations.csv", "ann", "none", content_md5(b"ann's mask"), False),
        ("2026-01", "labels.csv", None, "full", content_md5(b"mask A"), True),
    ]


def test_where_no_labels_csv_has_a_label_the_newest_annotation_counts():
    rows = "image,labeler,label,labeled_at\n"
    raw = joined(
        IMAGES
        | {
            f"{B1}/labels.csv": "image,label,subject_id\nimages/b.jpg,,s1\n",
            f"{B1}/annotations.csv": f"{rows}images/b.jpg,ann,none,2026-01-02\n"
            "images/b.jpg,bob,partial,2026-01-03\nimages/a.jpg,ann,none,\n",
            f"{B2}/annotations.csv": f"{rows}{ID_A},zoe,full,\n",
        }
    )
    said = dict(raw.images.select("image_id", pl.struct("label", "labeler", "subject_id")).rows())
    assert said[ID_B] == {"label": "partial", "labeler": "bob", "subject_id": "s1"}
    assert said[ID_A] == {"label": "full", "labeler": "zoe", "subject_id": None}


def test_bad_annotations_are_problems_and_the_rest_is_used():
    raw = joined(
        IMAGES
        | {f"{B1}/annotations.csv": "image,labeler,label\nimages/a.jpg,ann,full\nx.jpg,bob,none\n"}
    )
    assert raw.label_rows["labeler"].to_list() == ["ann"]
    problem = raw.problems.row(by_predicate=pl.col("row").is_not_null(), named=True)
    assert (problem["file"], problem["row"]) == (f"{B1}/annotations.csv", 3)


def test_annotations_in_another_place_are_said_to_be_unread():
    raw = joined({**IMAGES, f"{B1}/images/annotations.csv": "image,labeler\n"})
    assert "only read at the top of a batch's folder" in raw.problems["reason"][0]


def test_all_files_with_rows_are_known_before_they_are_read():
    manifest = {f"{B1}/labels.csv": "1", f"{B1}/annotations.csv": "2", f"{B1}/notes.csv": "3"}
    assert sorted(files_to_read(manifest)) == ["1", "2"]
