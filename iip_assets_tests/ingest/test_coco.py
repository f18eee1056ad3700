"""A COCO export becomes the batch that its labelers meant, or is refused with reasons."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from iip_assets.ingest.formats.coco import convert_coco
from iip_assets_tests.dataset.images import encoded, scene
from iip_assets_tests.ingest.tool_exports import (
    MASK_CLASSES,
    assert_taken_or_refused,
    cvat_export,
    cvat_image,
    cvat_shape,
    damaged,
    only,
    read_native,
    write_cvat,
    write_image,
)

BOX = [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]]
DOT = {"counts": [14, 2, 32], "size": [6, 8]}
WHOLE = {"counts": [0, 48], "size": [6, 8]}


def convert(root: Path, document):
    write_cvat(root / "export", document)
    return convert_coco(root / "export", root / "out", mask_classes=MASK_CLASSES).problems


def mask_of(root: Path, *shapes) -> np.ndarray:
    document = cvat_export(root / "export", annotations=list(shapes))
    assert convert(root, document) == ()
    (mask,) = read_native(root / "out").masks
    return mask


def test_polygons_and_masks_of_cvat_become_one_mask(tmp_path):
    """The pupil is drawn first and the iris over it: the later class is seen all the same."""
    mask = mask_of(tmp_path, cvat_shape(1, 2, DOT), cvat_shape(2, 1, BOX))
    assert mask.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 0, 0, 0],
        [0, 2, 3, 2, 2, 0, 0, 0],
        [0, 2, 3, 2, 2, 0, 0, 0],
        [0, 2, 2, 2, 2, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_run_lengths_packed_by_pycocotools_are_read(tmp_path):
    """pycocotools 2.0.11 packs the counts 14, 2, 32 as `>2P1`."""
    packed = {"counts": ">2P1", "size": [6, 8]}
    assert (mask_of(tmp_path, cvat_shape(1, 2, packed)) == 3).sum() == 2


def test_several_polygons_of_one_annotation_are_joined(tmp_path):
    mask = mask_of(tmp_path, cvat_shape(1, 1, [BOX[0], [3, 3, 7, 3, 7, 6, 3, 6]]))
    assert (mask == 2).sum() == 16 + 12 - 4


def test_what_nobody_judged_is_255_above_every_class(tmp_path):
    mask = mask_of(tmp_path, cvat_shape(1, 3, DOT), cvat_shape(2, 2, WHOLE))
    assert sorted(np.unique(mask).tolist()) == [3, 255]
    assert (mask == 255).sum() == 2


def test_an_image_without_annotation_has_no_mask_and_no_label(tmp_path):
    assert convert(tmp_path, cvat_export(tmp_path / "export")) == ()
    found = read_native(tmp_path / "out")
    assert found.masks == [None]
    assert [row.label for row in found.parsed.rows] == [None]


@pytest.mark.parametrize(
    "document",
    [
        {"annotations": [cvat_shape(1, 4, [])]},
        {
            "annotations": [
                cvat_shape(1, 1, BOX, attributes={"occluded": False, "label": "Partial"})
            ]
        },
        {"images": [cvat_image(1, "a.png", attributes={"label": "partial"})]},
    ],
    ids=["a box of that category", "an attribute of an annotation", "an attribute of the image"],
)
def test_the_label_of_the_whole_image_is_found(tmp_path, document):
    assert convert(tmp_path, cvat_export(tmp_path / "export", **document)) == ()
    (row,) = read_native(tmp_path / "out").parsed.rows
    assert row.label == "partial"


def test_two_labels_of_one_image_are_a_problem(tmp_path):
    document = cvat_export(
        tmp_path / "export",
        images=[cvat_image(1, "a.png", attributes={"label": "full"})],
        annotations=[cvat_shape(1, 4, [])],
    )
    found = only(convert(tmp_path, document))
    assert (found.value, found.row) == ("full, partial", 1)
    assert "more than one label" in found.reason


def test_the_other_columns_come_from_the_attributes(tmp_path):
    attributes = {"subject_id": 17, "age_years": 34.5, "eye": "left", "Glasses": True, "site": None}
    document = cvat_export(
        tmp_path / "export", images=[cvat_image(1, "a.png", attributes=attributes)]
    )
    assert convert(tmp_path, document) == ()
    (row,) = read_native(tmp_path / "out").parsed.rows
    assert (row.subject_id, row.age_years, row.eye) == ("17", 34.5, "left")
    assert row.tags == {"glasses": "true"}


def test_a_small_number_is_written_without_exponent(tmp_path):
    image = cvat_image(1, "a.png", attributes={"age_years": 0.00001})
    assert convert(tmp_path, cvat_export(tmp_path / "export", images=[image])) == ()
    assert [row.age_years for row in read_native(tmp_path / "out").parsed.rows] == [0.00001]


def test_an_unknown_category_is_named_once_with_the_known_ones(tmp_path):
    shapes = [cvat_shape(1, 5, BOX), cvat_shape(2, 5, BOX)]
    found = only(convert(tmp_path, cvat_export(tmp_path / "export", annotations=shapes)))
    assert found.file == "annotations/instances_default.json"
    assert (found.row, found.column, found.value) == (1, "annotations.category_id", "eyelash")
    assert "background, sclera, iris, pupil" in found.reason
    assert "dataset.mask_classes" in found.fix


def test_a_category_that_nothing_uses_is_no_matter(tmp_path):
    assert convert(tmp_path, cvat_export(tmp_path / "export")) == ()


def test_images_in_subfolders_and_subsets_are_found_by_their_path(tmp_path):
    export = tmp_path / "export"
    for number, path in enumerate(["default/a.png", "default/left/a.png", "Train/a.png"]):
        write_image(export, f"images/{path}", seed=number)
    document = cvat_export(export, images=[cvat_image(1, "a.png"), cvat_image(2, "left/a.png")])
    write_cvat(export, cvat_export(export), "instances_Train.json")
    assert convert(tmp_path, document) == ()
    named = {row["image"] for row in read_native(tmp_path / "out").rows}
    assert named == {"images/default/a.png", "images/default/left/a.png", "images/Train/a.png"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../secret.png", "no such image"),
        ("/etc/passwd", "no such image"),
        ("C:\\b.png", "no such image"),
        ("link.png", "a link"),
        ("folder/x.png", "no such image"),
        ("missing.png", "no such image"),
        ("elsewhere/a.png", "no such image"),
        ("\ud800.png", "no such image"),
        ("", "expected a text"),
        (7, "expected a text"),
    ],
)
def test_an_image_that_is_not_a_file_of_the_folder_is_a_problem(tmp_path, name, reason):
    secret = write_image(tmp_path / "elsewhere", "secret.png")
    export = tmp_path / "export"
    document = cvat_export(
        export, images=[cvat_image(1, name)], annotations=[cvat_shape(1, 1, BOX)]
    )
    (export / "images" / "link.png").symlink_to(secret)
    (export / "images" / "folder").symlink_to(secret.parent)
    found = only(convert(tmp_path, document))
    assert reason in found.reason
    assert found.column == "images.file_name"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([], "neither polygon nor mask"),
        (None, "neither polygon nor mask"),
        ([[1, 1, 5, 5]], "a polygon of 2 points"),
        ([[1, 1, 5, 1, 5]], "an odd count"),
        ([[1, 1, 5, 1, 5, float("nan")]], "not a number that can be used"),
        ([[1, 1, 5, 1, 5, "5"]], "expected a number"),
        ([[1, 1, 500, 1, 5, 5]], "the point 500, 1 lies outside"),
        ({"counts": [10**9, 10**9], "size": [6, 8]}, "sum to 2000000000"),
        ({"counts": [48.5], "size": [6, 8]}, "not a whole number"),
        ({"counts": [30], "size": [5, 6]}, "not of the image's size"),
        ({"counts": [10**18], "size": [10**9, 10**9]}, "not of the image's size"),
        ({"counts": "~", "size": [6, 8]}, "broken after 0"),
        ({"size": [6, 8]}, "it is missing"),
    ],
)
def test_a_region_that_is_none_is_a_problem(tmp_path, segmentation, reason):
    document = cvat_export(tmp_path / "export", annotations=[cvat_shape(1, 1, segmentation)])
    found = only(convert(tmp_path, document))
    assert reason in found.reason
    assert found.column.startswith("annotations.segmentation")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("width", "height"), [(100_000, 3), (8, 5), (7, 6)])
def test_an_image_of_another_size_is_a_problem(tmp_path, width, height):
    image = cvat_image(1, "a.png", width=width, height=height)
    found = only(convert(tmp_path, cvat_export(tmp_path / "export", images=[image])))
    assert f"{width}×{height} pixels, the file has 8×6" in found.reason


def convert_turned(root: Path, orientation: int, size, segmentation):
    """Problems of an export whose image of 8×6 pixels, stored, is told to be of this size."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    width, height = size
    shapes = [] if segmentation is None else [cvat_shape(1, 1, segmentation)]
    images = [cvat_image(1, "a.png", width=width, height=height)]
    document = cvat_export(root / "export", images=images, annotations=shapes)
    file = root / "export" / "images" / "default" / "a.png"
    file.write_bytes(encoded(scene(6, 8), "PNG", exif=exif))
    return convert(root, document)


@pytest.mark.parametrize("size", [(8, 6), (6, 8)])
@pytest.mark.parametrize("orientation", [1, 3, 5, 6, 7, 8])
def test_polygons_of_a_turned_image_are_upright_whichever_size_is_told(tmp_path, size, orientation):
    upright = (6, 8) if orientation >= 5 else (8, 6)
    problems = convert_turned(tmp_path, orientation, size, BOX)
    if size == upright or orientation >= 5:
        assert problems == ()
        (mask,) = read_native(tmp_path / "out").masks
        assert mask.shape == upright[::-1]
        assert (mask[1:5, 1:5] == 2).all()
        assert (mask == 2).sum() == 16
    else:
        assert "6×8 pixels, the file has 8×6" in only(problems).reason


def test_a_turned_image_on_which_nothing_was_drawn_may_be_told_in_either_size(tmp_path):
    assert convert_turned(tmp_path, 6, (8, 6), None) == ()


@pytest.mark.parametrize(
    ("size", "segmentation"),
    [
        ((8, 6), {"size": [6, 8], "counts": [10, 20, 18]}),
        ((0, 0), {"size": [6, 8], "counts": [10, 20, 18]}),
        ((8, 6), [[1, 1, 8, 1, 8, 5]]),
        ((6, 8), [[1, 1, 8, 1, 8, 5]]),
    ],
    ids=["runs", "runs of an untold size", "a polygon", "a polygon of the upright size"],
)
def test_labels_of_the_stored_image_are_refused_with_its_exif(tmp_path, size, segmentation):
    found = only(convert_turned(tmp_path, 6, size, segmentation))
    assert "stored" in found.reason
    assert "EXIF" in found.reason


def test_ids_that_stand_twice_are_problems_and_are_named_once(tmp_path):
    document = cvat_export(
        tmp_path / "export",
        images=[cvat_image(1, "a.png"), cvat_image(1, "a.png"), cvat_image(2, "a.png")],
        annotations=[
            cvat_shape(1, 1, BOX),
            cvat_shape(1, 1, BOX),
            cvat_shape(3, 1, BOX, image_id=9),
        ],
    )
    found = convert(tmp_path, document)
    assert [(one.column, one.row) for one in found] == [
        ("images.id", 2),
        ("images.file_name", 3),
        ("annotations.id", 2),
        ("annotations.image_id", 3),
    ]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 200_000, "nests"),
        (b"[]", "expected an object"),
        (b"1" * 5000, "not JSON"),
        (b"{}", "no image is named"),
        (b'\xef\xbb\xbf{"images": 5}', "expected a list"),
    ],
)
def test_a_file_that_is_no_coco_is_a_problem(tmp_path, data, reason):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "coco.json").write_bytes(data)
    found = only(
        convert_coco(tmp_path / "export", tmp_path / "out", mask_classes=MASK_CLASSES).problems
    )
    assert reason in found.reason
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nothing", "empty", "export.zip"])
def test_a_folder_without_an_export_is_a_problem(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "export.zip").write_bytes(b"PK")
    assert only(
        convert_coco(tmp_path / name, tmp_path / "out", mask_classes=MASK_CLASSES).problems
    ).fix


def test_an_existing_folder_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match="is there already"):
        convert(tmp_path, cvat_export(tmp_path / "export"))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_thousand_problems_are_enough(tmp_path):
    shapes = [cvat_shape(number, 1, BOX, image_id=9) for number in range(1, 2001)]
    found = convert(tmp_path, cvat_export(tmp_path / "export", annotations=shapes))
    assert len(found) == 1001
    assert "1000 more problems" in found[-1].reason


FULL = {
    "images": [cvat_image(1, "a.png", attributes={"label": "partial", "age_years": 3})],
    "annotations": [cvat_shape(1, 1, BOX), cvat_shape(2, 2, DOT), cvat_shape(3, 4, [])],
}


@settings(max_examples=150, deadline=None, derandomize=True)
@given(damaged(json.loads(json.dumps(FULL))))
def test_a_damaged_export_is_taken_or_refused_and_never_half(changes):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        document = cvat_export(root / "export")
        document = document | changes if isinstance(changes, dict) else changes
        assert_taken_or_refused(root / "out", convert(root, document))
