"""A Label Studio export becomes the batch that its labelers meant, or is refused with reasons."""

import base64
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from iip_assets.ingest.formats.labelstudio import convert_labelstudio
from iip_assets.ingest.formats.masks import encode_brush
from iip_assets_tests.dataset.images import encoded, scene
from iip_assets_tests.ingest.tool_exports import (
    HEIGHT,
    MASK_CLASSES,
    WIDTH,
    assert_taken_or_refused,
    damaged,
    only,
    read_native,
    studio_annotation,
    studio_batch,
    studio_choice,
    studio_region,
    studio_task,
    write_image,
    write_studio,
)

UPLOAD = "/data/upload/3/ab12cd34-a.png"
# Columns 1 to 4 and rows 1 to 4 of 8×6 pixels, in percent.
BOX = [[12.5, 100 / 6], [62.5, 100 / 6], [62.5, 500 / 6], [12.5, 500 / 6]]
DOT = np.zeros((HEIGHT, WIDTH), bool)
DOT[2:4, 2] = True


def brush(name: str, pixels=DOT):
    return studio_region("brushlabels", name, format="rle", rle=encode_brush(pixels))


def polygon(name: str, points=BOX):
    return studio_region("polygonlabels", name, points=points, closed=True)


def convert(root: Path, *tasks):
    write_studio(root / "export", list(tasks))
    return convert_labelstudio(root / "export", root / "out", mask_classes=MASK_CLASSES).problems


def taken(root: Path, *tasks):
    """What becomes of tasks on the image a.png."""
    return logged(root, *tasks)[0]


def logged(root: Path, *tasks):
    """What becomes of them, and what is said of it."""
    write_image(root / "export", "a.png")
    return studio_batch(root, list(tasks))


def test_choice_brush_and_polygon_become_a_label_and_one_mask(tmp_path):
    annotation = studio_annotation(studio_choice("Partial"), brush("Pupil"), polygon("iris"))
    found = taken(tmp_path, studio_task(1, UPLOAD, annotation, subject_id="s1", site="north"))
    (row,) = found.parsed.rows
    assert (row.label, row.labeler, row.subject_id) == ("partial", "1", "s1")
    assert row.tags == {"site": "north"}
    (mask,) = found.masks
    assert mask.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 0, 0, 0],
        [0, 2, 3, 2, 2, 0, 0, 0],
        [0, 2, 3, 2, 2, 0, 0, 0],
        [0, 2, 2, 2, 2, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_what_nobody_judged_is_255(tmp_path):
    annotation = studio_annotation(brush("not_labelled"), brush("pupil", np.ones_like(DOT)))
    (mask,) = taken(tmp_path, studio_task(1, UPLOAD, annotation)).masks
    assert (mask == np.where(DOT, 255, 3)).all()


def test_every_labelers_answer_is_an_annotation_with_its_mask(tmp_path):
    found = taken(
        tmp_path,
        studio_task(
            1,
            UPLOAD,
            studio_annotation(studio_choice("full"), brush("iris"), by={"email": "ann@x.org"}),
            studio_annotation(studio_choice("none"), by=7),
            studio_annotation(brush("pupil"), by={"id": 9}),
            studio_annotation(studio_choice("unclear"), by=8, was_cancelled=True),
        ),
    )
    (row,) = found.parsed.rows
    # The newest of two who disagree has no mask: the newest mask is used.
    assert (row.labeler, row.label) == ("7", "none")
    assert not found.parsed.problems
    assert [mask.max() for mask in found.masks] == [3]
    assert [(row.labeler, row.label, bool(row.mask_path)) for row in found.opinions.rows] == [
        ("7", "none", False),
        ("9", None, True),
        ("ann@x.org", "full", True),
    ]


def test_of_two_annotations_by_one_labeler_the_newest_counts(tmp_path):
    found = taken(
        tmp_path,
        studio_task(
            1,
            UPLOAD,
            studio_annotation(studio_choice("full"), updated_at="2026-02-01T00:00:00.000000Z"),
            studio_annotation(studio_choice("none"), updated_at="2026-01-01T00:00:00.000000Z"),
        ),
    )
    assert [row.label for row in found.parsed.rows] == ["full"]


def test_a_task_that_nobody_labelled_is_an_unlabelled_image(tmp_path):
    annotation = studio_annotation(studio_choice("full"), was_cancelled=True)
    found = taken(tmp_path, studio_task(1, UPLOAD, annotation, age_years=34.0))
    (row,) = found.parsed.rows
    assert (row.label, row.labeler, row.age_years) == (None, None, 34.0)
    assert found.masks == [None]


def test_answers_to_other_questions_are_columns_and_tags(tmp_path):
    annotation = studio_annotation(
        studio_choice("full", "label"),
        studio_choice("none", "glasses"),
        studio_choice("Left", "eye"),
        {"type": "number", "from_name": "age_years", "to_name": "image", "value": {"number": 34}},
        {"type": "textarea", "from_name": "Note", "to_name": "image", "value": {"text": ["hi"]}},
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
    )
    (row,) = taken(tmp_path, studio_task(1, UPLOAD, annotation)).parsed.rows
    assert (row.label, row.eye, row.age_years) == ("full", "left", 34.0)
    assert row.tags == {"glasses": "none", "note": "hi"}


def result(kind: str, name: str, **value):
    return {"id": f"q-{name}", "from_name": name, "to_name": "image", "type": kind, "value": value}


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (result("choices", "faults", choices=["blur", "glare"]), "blur; glare"),
        (result("textarea", "faults", text=["one line", "another"]), "one line; another"),
        (result("textarea", "faults", text="one line"), "one line"),
        (result("textarea", "faults", text=["one\r\nline\nand\tmore"]), "one line and more"),
        (result("taxonomy", "faults", taxonomy=[["eye", "lid"]]), "eye > lid"),
        (result("taxonomy", "faults", taxonomy=[["eye", "lid"], ["blur"]]), "eye > lid; blur"),
        (result("rating", "faults", rating=4), "4"),
    ],
)
def test_several_choices_or_lines_are_one_text(tmp_path, answer, text):
    annotation = studio_annotation(studio_choice("full", "label"), answer)
    (row,) = taken(tmp_path, studio_task(1, UPLOAD, annotation)).parsed.rows
    assert (row.label, row.tags) == ("full", {"faults": text})


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("choices", {"choices": ["none"]}),
        ("textarea", {"text": ["none"]}),
        ("rating", {"rating": 3}),
        ("number", {"number": 3}),
        ("taxonomy", {"taxonomy": [["a"]]}),
    ],
)
def test_an_answer_about_a_region_is_none_about_the_image(tmp_path, kind, value, count):
    regions = [polygon("iris"), polygon("pupil")][:count]
    for number, region in enumerate(regions):
        region["id"] = f"r{number}"
    of_regions = [{**result(kind, "label", **value), "id": one["id"]} for one in regions]
    found = taken(tmp_path, studio_task(1, UPLOAD, studio_annotation(*regions, *of_regions)))
    (row,) = found.parsed.rows
    assert (row.label, row.tags, row.mask_path) == (None, {}, "masks/a.png")


def bitmask(pixels, mode: str) -> str:
    """A drawn area as Label Studio has it: black on transparent; or white on black."""
    alpha = np.where(pixels, 255, 0).astype(np.uint8)
    drawn = np.stack([alpha * 0] * 3 + [alpha], axis=2) if mode == "RGBA" else alpha
    return "data:image/png;base64," + base64.b64encode(encoded(drawn, "PNG")).decode()


@pytest.mark.parametrize(
    ("region", "area"),
    [
        (
            studio_region("ellipselabels", "iris", x=50, y=50, radiusX=25, radiusY=100 / 3),
            ["........", "...##...", "..####..", "..####..", "...##...", "........"],
        ),
        (
            studio_region("ellipselabels", "iris", x=50, y=50, radiusX=50, radiusY=12, rotation=90),
            ["...##...", "...##...", "...##...", "...##...", "...##...", "...##..."],
        ),
        (
            studio_region("bitmasklabels", "iris", imageDataURL=bitmask(DOT, "RGBA")),
            ["........", "........", "..#.....", "..#.....", "........", "........"],
        ),
        (
            studio_region("bitmasklabels", "iris", imageDataURL=bitmask(DOT, "L")),
            ["........", "........", "..#.....", "..#.....", "........", "........"],
        ),
    ],
    ids=["ellipse", "turned ellipse", "bitmask", "bitmask without transparency"],
)
def test_further_shapes_are_filled(tmp_path, region, area):
    (mask,) = taken(tmp_path, studio_task(1, UPLOAD, studio_annotation(region))).masks
    assert ["".join(".?#"[value] for value in row) for row in mask] == area


def test_an_ellipse_and_its_class_may_be_told_apart(tmp_path):
    drawn = studio_region("ellipse", "", x=50, y=50, radiusX=25, radiusY=100 / 3)
    classed = {**drawn, "type": "labels", "value": {**drawn["value"], "labels": ["iris"]}}
    (mask,) = taken(tmp_path, studio_task(1, UPLOAD, studio_annotation(drawn, classed))).masks
    assert (mask == 2).sum() == 12


@pytest.mark.parametrize(
    "box",
    [
        studio_region("rectanglelabels", "iris", x=0, y=0, width=50, height=50),
        studio_region("rectanglelabels", "eye", x=0, y=0, width=50, height=50),
        studio_region("keypointlabels", "centre", x=50, y=50, width=1),
        studio_region("rectangle", "", x=0, y=0, width=50, height=50),
    ],
)
def test_a_box_or_point_beside_a_mask_is_told_and_changes_nothing(tmp_path, box):
    found, log = logged(tmp_path, studio_task(1, UPLOAD, studio_annotation(box, brush("iris"))))
    (mask,) = found.masks
    assert (mask == 2 * DOT).all()
    assert "not used: boxes and points, which are no masks (1)" in log


def test_a_box_may_stake_out_what_nobody_judged(tmp_path):
    box = studio_region("rectanglelabels", "not_labelled", x=0, y=0, width=50, height=50)
    (mask,) = taken(tmp_path, studio_task(1, UPLOAD, studio_annotation(box, brush("iris")))).masks
    assert (mask[:3, :4] == 255).all()
    assert (mask == 255).sum() == 12


@pytest.mark.parametrize("minimal", [False, True], ids=["JSON", "JSON-MIN"])
@pytest.mark.parametrize(
    ("answers", "question"),
    [
        ({"visible": ["none", "Full"], "glasses": ["no", "none"]}, "visible"),
        ({"visible": ["none", "partial"], "glasses": ["none", "none"]}, "visible"),
        ({"glasses": ["none", "none"]}, None),
        ({"glasses": ["none", "unclear"]}, None),
        ({"glasses": ["none", "spectacles"]}, None),
        ({"visible": ["full", "closed"]}, None),
        ({"visible": ["full", "none"], "covered": ["partial", "none"]}, None),
        ({"visible": ["full", "none"], "label": ["none", "none"]}, "label"),
        ({"visible": ["full", "none"], "choice": ["none", "none"]}, "choice"),
        ({"glasses": ["no", "yes"]}, None),
    ],
)
def test_which_question_is_that_of_the_label(tmp_path, answers, question, minimal):
    tasks = []
    for number, name in enumerate("ab"):
        write_image(tmp_path / "export", f"{name}.png", seed=number)
        words = {asked: said[number] for asked, said in answers.items()}
        choices = [studio_choice(word, asked) for asked, word in words.items()]
        task = studio_task(number, f"{name}.png", studio_annotation(*choices))
        flat = {"id": number, "image": f"{name}.png", "annotation_id": number, **words}
        tasks.append(flat if minimal else task)
    write_studio(tmp_path / "export", tasks)
    log: list[str] = []
    convert_labelstudio(
        tmp_path / "export", tmp_path / "out", mask_classes=MASK_CLASSES, log=log.append
    )
    rows = read_native(tmp_path / "out").parsed.rows
    labels = [None, None] if question is None else [word.lower() for word in answers[question]]
    assert [row.label for row in rows] == labels
    tags = {name: said for name, said in answers.items() if name != question}
    assert {name: [row.tags[name] for row in rows] for name in tags} == tags
    # Whoever meant one of them is told.
    like_labels = question is None and answers != {"glasses": ["no", "yes"]}
    assert any(line.startswith("no question is that of the label") for line in log) == like_labels


@pytest.mark.parametrize("odd", [{"a": 1}, ["a", 1]])
def test_what_is_no_text_in_the_data_is_left_out_and_told(tmp_path, odd):
    write_image(tmp_path / "export", "a.png")
    task = studio_task(1, UPLOAD, studio_annotation(studio_choice("full")), meta=odd, site="x\ny")
    write_studio(tmp_path / "export", [task])
    log: list[str] = []
    convert_labelstudio(
        tmp_path / "export", tmp_path / "out", mask_classes=MASK_CLASSES, log=log.append
    )
    (row,) = read_native(tmp_path / "out").parsed.rows
    assert (row.label, row.tags) == ("full", {"site": "x y"})
    assert "not used: data.meta, neither a text nor a number (1)" in log


def test_what_is_no_text_under_a_name_of_a_column_is_a_problem(tmp_path):
    write_image(tmp_path / "export", "a.png")
    found = only(convert(tmp_path, studio_task(1, UPLOAD, subject_id=["s1"])))
    assert (found.column, found.reason) == ("data.subject_id", "expected a text or a number")


def test_json_min_says_the_same(tmp_path):
    stroke = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    tag = [{**stroke, "format": "rle", "rle": encode_brush(DOT), "brushlabels": ["iris"]}]
    about = {"created_at": "2026-01-02", "updated_at": "2026-01-02", "lead_time": 4.3}
    found = taken(
        tmp_path,
        {
            "image": UPLOAD,
            "subject_id": "s1",
            "id": 5,
            "tag": tag,
            "visible": "full",
            "annotator": 1,
            "annotation_id": 1,
            **about,
        },
        {
            "image": UPLOAD,
            "subject_id": "s1",
            "id": 5,
            "visible": "none",
            "annotator": 2,
            "annotation_id": 2,
            **about,
        },
    )
    said = [(row.labeler, row.label, row.subject_id, row.tags) for row in found.parsed.rows]
    assert said == [("2", "none", "s1", {})]
    assert (found.masks[0] == 2 * DOT).all()
    assert [(row.labeler, row.label, bool(row.mask_path)) for row in found.opinions.rows] == [
        ("1", "full", True),
        ("2", "none", False),
    ]


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("/data/upload/3/ab12cd34-a.png", "images/a.png"),
        ("/data/upload/3/ab12cd34-a.png", "upload/3/ab12cd34-a.png"),
        ("/data/upload/3/ab12cd34-left_eye_1.png", "left eye (1).png"),
        ("/data/local-files/?d=eyes/left%20eye.png", "images/eyes/left eye.png"),
        ("/data/local-files/?d=C%3A%5Ceyes%5Ca.png", "a.png"),
        ("s3://bucket/eyes/a.png", "a.png"),
        ("https://example.org/eyes/a.png?token=5", "a.png"),
        ("a.png", "a.png"),
        ("eye#1%20.png", "eye#1%20.png"),
    ],
)
def test_an_image_is_found_by_what_label_studio_calls_it(tmp_path, url, file):
    write_image(tmp_path / "export", file)
    assert convert(tmp_path, studio_task(1, url, studio_annotation(studio_choice("full")))) == ()
    (row,) = read_native(tmp_path / "out").rows
    assert row["image"].removeprefix("images/") == file.removeprefix("images/")


def test_the_labeling_instructions_come_along(tmp_path):
    write_image(tmp_path / "export", "a.png")
    (tmp_path / "export" / "LABELING.md").write_text("Partial is under 60%.")
    assert convert(tmp_path, studio_task(1, UPLOAD)) == ()
    assert (tmp_path / "out" / "LABELING.md").read_text() == "Partial is under 60%."


def test_more_of_the_path_goes_before_less(tmp_path):
    write_image(tmp_path / "export", "images/b1/a.png", seed=1)
    write_image(tmp_path / "export", "images/b2/a.png", seed=2)
    tasks = [studio_task(n, f"/data/local-files/?d=images/b{n}/a.png") for n in (1, 2)]
    assert convert(tmp_path, *tasks) == ()
    assert [row["image"] for row in read_native(tmp_path / "out").rows] == [
        "images/b1/a.png",
        "images/b2/a.png",
    ]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (UPLOAD, "several images could be meant: b1/a.png, b2/a.png"),
        ("/data/local-files/?d=../../etc/passwd", "no such image"),
        ("/etc/passwd", "no such image"),
        ("link.png", "a link"),
        ("data:image/png;base64," + "A" * 9000, "too long"),
        ("http://[::1/a.png/\ud800.png", "no such image"),
        (5, "expected a text"),
    ],
)
def test_an_image_that_is_not_one_file_of_the_folder_is_a_problem(tmp_path, url, reason):
    write_image(tmp_path / "export", "b1/a.png", seed=1)
    write_image(tmp_path / "export", "b2/a.png", seed=2)
    (tmp_path / "export" / "link.png").symlink_to(write_image(tmp_path, "secret.png"))
    found = only(convert(tmp_path, studio_task(1, url)))
    assert reason in found.reason
    assert (found.row, found.column) == (1, "data.image")
    assert not (tmp_path / "out").exists()


def test_two_tasks_of_one_image_are_a_problem(tmp_path):
    write_image(tmp_path / "export", "a.png")
    found = only(convert(tmp_path, studio_task(1, UPLOAD), studio_task(2, "a.png")))
    assert (found.row, found.column) == (2, "data.image")
    assert "the first is task 1" in found.reason


CUBE = studio_region("cuboidlabels", "iris", x=5, y=5)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (studio_choice("blurred"), "not a word that is known here"),
        ({**studio_choice("full"), "value": {"choices": ["full", "none"]}}, "2 answers"),
        (brush("lens"), "not a class that is known here"),
        (
            studio_region("ellipselabels", "iris", x=5, y=5, radiusX=0, radiusY=3),
            "an ellipse without area",
        ),
        (studio_region("ellipselabels", "iris", x=5, radiusX=3, radiusY=3), "it is missing"),
        (studio_region("bitmasklabels", "iris", imageDataURL="data:,AAAA"), "is no image"),
        (studio_region("bitmasklabels", "iris", imageDataURL="data:,?"), "is no image"),
        (
            studio_region("bitmasklabels", "iris", imageDataURL=bitmask(DOT[:, :4], "L")),
            "the bitmask has 4×6 pixels, the image 8×6",
        ),
        (CUBE, "not read here"),
        (studio_region("ellipse", "", x=50, y=50, radiusX=5, radiusY=5), "without a class"),
        ({**brush("iris"), "original_width": 9}, "of 9×6 pixels, the file has 8×6"),
        ({**brush("iris"), "image_rotation": 90}, "turned"),
        (brush("iris", DOT[:, :4]), "96 values"),
        (studio_region("brushlabels", "iris", rle=[10**9]), "list of bytes"),
        (polygon("iris", BOX[:2]), "a polygon of 2 points"),
        (polygon("iris", [*BOX, [float("nan"), 1]]), "not a number that can be used"),
        (polygon("iris", [*BOX, [1e4, 1]]), "the point 800, 0 lies outside"),
        (polygon("iris", [*BOX, [5]]), "not a pair"),
        (
            studio_region("polygonlabels", "iris"),
            "neither brush stroke, bitmask, polygon nor ellipse",
        ),
        (5, "expected an object"),
    ],
)
def test_a_result_that_cannot_be_read_is_a_problem(tmp_path, result, reason):
    write_image(tmp_path / "export", "a.png")
    found = only(convert(tmp_path, studio_task(1, UPLOAD, studio_annotation(result))))
    assert reason in found.reason
    assert found.row == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "region",
    [
        brush("iris"),
        polygon("iris"),
        studio_region("ellipselabels", "iris", x=50, y=50, radiusX=25, radiusY=25),
        studio_region("bitmasklabels", "iris", imageDataURL=bitmask(DOT, "L")),
    ],
    ids=lambda region: region["type"],
)
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_what_was_drawn_on_the_stored_image_is_refused_with_its_exif(tmp_path, region, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = write_image(tmp_path / "export", "a.png")
    file.write_bytes(encoded(scene(HEIGHT, WIDTH), "PNG", exif=exif))
    found = only(convert(tmp_path, studio_task(1, UPLOAD, studio_annotation(region))))
    assert "as it is stored, 8×6, which its EXIF turns upright, 6×8" in found.reason
    assert found.column == "data.image"


def test_an_unknown_class_is_refused_with_the_known_ones(tmp_path):
    write_image(tmp_path / "export", "a.png")
    annotation = studio_annotation(brush("lens"))
    found = only(convert(tmp_path, studio_task(1, UPLOAD, annotation)))
    assert "background, sclera, iris, pupil" in found.reason
    assert "'lens'" in found.fix


FULL = [
    studio_task(
        1,
        UPLOAD,
        studio_annotation(studio_choice("full"), brush("iris")),
        studio_annotation(studio_choice("none"), polygon("pupil"), by={"email": "ann@x.org"}),
        age_years=34,
    ),
    studio_task(2, "/data/local-files/?d=b.png"),
]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(damaged(json.loads(json.dumps(FULL))))
def test_a_damaged_export_is_taken_or_refused_and_never_half(document):
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_image(root / "export", "a.png", seed=1)
        write_image(root / "export", "images/b.png", seed=2)
        write_studio(root / "export", document)
        problems = convert_labelstudio(
            root / "export", root / "out", mask_classes=MASK_CLASSES
        ).problems
        assert_taken_or_refused(root / "out", problems)
