"""The join: one row per image, newest label first, nothing lost, no order that matters."""

import json
import random
from datetime import datetime

import polars as pl
import pytest

from iip_assets.dataset.raw import RawDataset
from iip_assets.dataset.schema import images_schema, label_rows_schema, schema_failures
from iip_assets.images.store import content_md5
from iip_assets_tests.dataset.team_workspace import joined


def of(raw: RawDataset, path: str) -> dict:
    return raw.images.row(by_predicate=pl.col("path") == path, named=True)


B1, B2 = "batches/2026-01", "batches/2026-02"
IMAGES = {f"{B1}/images/a.jpg": "A", f"{B1}/images/b.jpg": "B", f"{B1}/masks/a.png": "mask A"}


def test_images_and_labels_are_joined():
    raw = joined(
        {
            **IMAGES,
            f"{B1}/labels.csv": "image,label,mask,age_years,captured_at,site\n"
            "images/a.jpg,full,masks/a.png,34,2026-01-02,x\n",
            f"{B1}/LABELING.md": "how",
        }
    )
    assert raw.images["image_id"].to_list() == sorted(map(content_md5, (b"A", b"B")))
    a = of(raw, f"{B1}/images/a.jpg")
    assert (a["batch"], a["label"], a["age_years"]) == ("2026-01", "full", 34.0)
    assert (a["mask_id"], a["mask_path"]) == (content_md5(b"mask A"), f"{B1}/masks/a.png")
    assert a["captured_at"] == datetime(2026, 1, 2)
    assert json.loads(a["tags"]) == {"site": "x"}
    b = of(raw, f"{B1}/images/b.jpg")
    assert (b["batch"], b["label"], b["mask_id"], b["tags"]) == ("2026-01", None, None, None)
    assert raw.label_rows["labeling_md5"].to_list() == [content_md5(b"how")]
    assert raw.tags == {"2026-01": {"site": None}}
    assert schema_failures(raw.images) == []


def test_the_newest_label_wins_and_what_it_leaves_empty_stays_known():
    a = content_md5(b"A")
    raw = joined(
        {
            **IMAGES,
            f"{B1}/labels.csv": "image,label,mask,subject_id,site\n"
            "images/a.jpg,full,masks/a.png,s1,x\n",
            f"{B2}/labels.csv": f"image,label,site,room\n{a},partial,y,3\n",
        }
    )
    row = of(raw, f"{B1}/images/a.jpg")
    # The image stays one of the batch that it came with: a correction is no batch of images.
    assert (row["label"], row["batch"], row["subject_id"]) == ("partial", "2026-01", "s1")
    assert row["mask_id"] == content_md5(b"mask A")
    assert json.loads(row["tags"]) == {"room": "3", "site": "y"}
    assert raw.label_rows.select("batch", "label", "current").rows() == [
        ("2026-01", "full", False),
        ("2026-02", "partial", True),
    ]


def test_a_row_without_a_label_does_not_take_one_away():
    a = content_md5(b"A")
    raw = joined(
        {
            **IMAGES,
            f"{B1}/labels.csv": "image,label\nimages/a.jpg,full\n",
            f"{B2}/labels.csv": f"image,eye\n{a},left\n",
        }
    )
    row = of(raw, f"{B1}/images/a.jpg")
    assert (row["label"], row["batch"], row["eye"]) == ("full", "2026-01", "left")


def test_the_order_of_rows_changes_nothing():
    rows = [f"images/{n}.jpg,{'full' if n % 2 else 'none'},s{n % 3},t{n}" for n in range(20)]
    files = {f"{B1}/images/{n}.jpg": f"image {n}" for n in range(20)}

    def joined_lines(lines):
        text = "\n".join(["image,label,subject_id,site", *lines])
        return joined({**files, f"{B1}/labels.csv": text})

    one, other = joined_lines(rows), joined_lines(random.Random(1).sample(rows, len(rows)))
    assert one.images.equals(other.images)
    assert one.label_rows.equals(other.label_rows)
    assert one.problems.equals(other.problems)


def test_equal_files_are_one_image_known_by_its_first_path():
    raw = joined({f"{B2}/images/x.jpg": "A", **IMAGES, "extra/y.jpg": "A"})
    assert raw.images.height == 2
    assert of(raw, f"{B1}/images/a.jpg")["image_id"] == content_md5(b"A")


def test_images_outside_batches_count_and_masks_do_not():
    raw = joined(
        {"z.PNG": "Z", "masks/m.png": "M", f"{B1}/images/.hidden.jpg": "H", "LABELING.md": "?"}
    )
    assert raw.images.select("path", "batch").rows() == [("z.PNG", None)]


def test_a_mask_outside_a_masks_folder_is_no_image():
    raw = joined(
        {
            f"{B1}/images/a.jpg": "A",
            f"{B1}/drawn/a.png": "M",
            f"{B1}/labels.csv": "image,mask\nimages/a.jpg,drawn/a.png\n",
        }
    )
    assert raw.images["path"].to_list() == [f"{B1}/images/a.jpg"]


def test_an_image_that_a_row_names_as_its_own_mask_is_not_lost():
    raw = joined(
        {
            f"{B1}/images/a.jpg": "A",
            f"{B1}/labels.csv": "image,mask\nimages/a.jpg,images/a.jpg\n",
        }
    )
    assert raw.images["path"].to_list() == [f"{B1}/images/a.jpg"]


def test_bad_rows_are_problems_and_the_rest_counts():
    raw = joined(
        {
            **IMAGES,
            f"{B1}/images/scan.gif": "G",
            f"{B1}/labels.csv": "image,label,age_years\n"
            "images/a.jpg,full,-3\nimages/b.jpg,none,3\n",
            f"{B2}/labels.csv": b"\xff\xfeoops",
            "labels.csv": "image\n",
        }
    )
    assert of(raw, f"{B1}/images/b.jpg")["label"] == "none"
    assert of(raw, f"{B1}/images/a.jpg")["label"] is None
    told = raw.problems.select("batch", "file", "row", "column").rows()
    assert told == [
        (None, "labels.csv", None, None),
        ("2026-01", f"{B1}/images/scan.gif", None, None),
        ("2026-01", f"{B1}/labels.csv", 2, "age_years"),
        ("2026-02", f"{B2}/labels.csv", None, None),
    ]


@pytest.mark.parametrize(
    ("path", "is_image"),
    [
        (f"{B1}/images/x.png", True),
        (f"{B1}/Images/x.png", True),
        (f"{B1}/site/images/day/x.png", True),
        ("old/x.png", True),  # outside of batches there are no rows to name it
        ("batches/masks/images/x.png", True),  # a batch may be called so
        (f"{B1}/x.png", False),
        (f"{B1}/SegmentationClass/x.png", False),
        (f"{B1}/overlays/images.png", False),
    ],
)
def test_in_a_batch_an_image_lies_in_images_or_is_named_by_a_row(path, is_image):
    raw = joined({path: "X"})
    assert raw.images["path"].to_list() == ([path] if is_image else [])
    told = ["an image file that no row names and that lies in no folder images/"]
    assert raw.problems["reason"].to_list() == ([] if is_image else told)
    if path.startswith("batches/") and not is_image:
        batch, _, within = path.removeprefix("batches/").partition("/")
        for column, images in (("image", [path]), ("image,mask", [f"{B1}/images/a.jpg"])):
            cells = within if column == "image" else f"images/a.jpg,{within}"
            files = {path: "X", f"{B1}/images/a.jpg": "A"} if "mask" in column else {path: "X"}
            named = joined({**files, f"batches/{batch}/labels.csv": f"{column}\n{cells}\n"})
            assert named.images["path"].to_list() == images
            assert named.problems.is_empty()


@pytest.mark.parametrize("path", [f"{B1}/Masks/x.png", f"{B1}/images/MASKS/x.png"])
def test_a_folder_of_masks_is_one_in_whatever_case(path):
    raw = joined({path: "X"})
    assert raw.images.is_empty()
    assert raw.problems.is_empty()


@pytest.mark.parametrize("name", ["Labels.csv", "annotations.json", "labels/a.txt", "label.xlsx"])
def test_labels_that_nobody_reads_are_problems_in_the_data_too(name):
    (problem,) = joined({f"{B1}/{name}": "x"}).problems.rows(named=True)
    assert problem["file"] == f"{B1}/{name}"
    assert "not read" in problem["reason"]


def test_no_files_at_all_give_empty_tables_of_the_right_types():
    raw = joined({})
    assert raw.images.schema == pl.Schema(images_schema())
    assert raw.label_rows.schema == pl.Schema(label_rows_schema())
    assert raw.problems.is_empty()
    assert schema_failures(raw.images) == []


def test_the_schema_names_what_breaks_it():
    images = joined(IMAGES).images
    cases = {
        "label": images.with_columns(label=pl.lit("x")),
        "age_years": images.with_columns(age_years=pl.lit(-3.0)),
        "not sorted": images.reverse(),
        "only one of mask_id and mask_path": images.with_columns(mask_path=pl.lit("m.png")),
        "image_id": pl.concat([images.head(1), images.head(1)]),
        "eye": images.drop("eye"),
    }
    for word, broken in cases.items():
        assert any(word in failure for failure in schema_failures(broken)), word
