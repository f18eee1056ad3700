"""Small exports in the shapes that CVAT and Label Studio write, and what became of them."""

import copy
import csv
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
from hypothesis import strategies as st

from iip_assets.dataset.labels import LabelFile, parse_annotations, parse_labels
from iip_assets.dataset.listing import KnownImages, Listing
from iip_assets.dataset.problems import Problem, problem_frame
from iip_assets.images.store import content_md5
from iip_assets.ingest.formats.labelstudio import convert_labelstudio
from iip_assets_tests.dataset.images import encoded, scene

MASK_CLASSES = ("background", "sclera", "iris", "pupil")
HEIGHT, WIDTH = 6, 8


def write_image(root: Path, path: str, seed: int = 0) -> Path:
    """An image of 8×6 pixels."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(encoded(scene(HEIGHT, WIDTH, seed), "PNG"))
    return file


def cvat_export(root: Path, **changes: Any) -> dict[str, Any]:
    """An export of CVAT's "COCO 1.0" with one image: writes the image, gives the document."""
    write_image(root, "images/default/a.png")
    document = {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {
            "contributor": "",
            "date_created": "",
            "description": "",
            "url": "",
            "version": "",
            "year": "",
        },
        "categories": [
            {"id": 1, "name": "Iris", "supercategory": ""},
            {"id": 2, "name": "pupil", "supercategory": ""},
            {"id": 3, "name": "not_labelled", "supercategory": ""},
            {"id": 4, "name": "partial", "supercategory": ""},
            {"id": 5, "name": "eyelash", "supercategory": ""},
        ],
        "images": [cvat_image(1, "a.png")],
        "annotations": [],
    }
    return document | changes


def cvat_image(number: int, name: str, **changes: Any) -> dict[str, Any]:
    """An entry of `images`."""
    image = {
        "id": number,
        "width": WIDTH,
        "height": HEIGHT,
        "file_name": name,
        "license": 0,
        "flickr_url": "",
        "coco_url": "",
        "date_captured": 0,
    }
    return image | changes


def cvat_shape(number: int, category: int, segmentation: Any, **changes: Any) -> dict[str, Any]:
    """An entry of `annotations`: polygons, or (as a brush gives) run lengths."""
    shape = {
        "id": number,
        "image_id": 1,
        "category_id": category,
        "segmentation": segmentation,
        "area": 16.0,
        "bbox": [1.0, 1.0, 4.0, 4.0],
        "iscrowd": int(isinstance(segmentation, dict)),
        "attributes": {"occluded": False},
    }
    return shape | changes


def write_cvat(root: Path, document: Any, name: str = "instances_default.json") -> Path:
    """Writes the document where CVAT puts it."""
    file = root / "annotations" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document))
    return root


def studio_task(number: int, image: str, *annotations: dict[str, Any], **data: Any) -> Any:
    """A task of Label Studio's whole JSON export."""
    return {
        "id": number,
        "annotations": list(annotations),
        "file_upload": "ab12cd34-a.png",
        "drafts": [],
        "predictions": [],
        "data": {"image": image, **data},
        "meta": {},
        "created_at": "2026-01-02T03:04:05.000000Z",
        "updated_at": "2026-01-02T03:04:05.000000Z",
        "inner_id": number,
        "total_annotations": len(annotations),
        "cancelled_annotations": 0,
        "project": 3,
        "updated_by": 1,
        "comment_authors": [],
    }


def studio_annotation(*results: dict[str, Any], by: Any = 1, **changes: Any) -> dict[str, Any]:
    """One labeler's word on it."""
    annotation = {
        "id": 11,
        "completed_by": by,
        "result": list(results),
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": "2026-01-02T03:04:05.000000Z",
        "updated_at": "2026-01-02T03:04:05.000000Z",
        "lead_time": 4.3,
        "prediction": {},
        "result_count": len(results),
        "task": 1,
    }
    return annotation | changes


def studio_choice(word: str, question: str = "choice") -> dict[str, Any]:
    """The answer to a question."""
    return {
        "value": {"choices": [word]},
        "id": "c1",
        "from_name": question,
        "to_name": "image",
        "type": "choices",
        "origin": "manual",
    }


def studio_region(kind: str, name: str, **value: Any) -> dict[str, Any]:
    """A region of the kind brushlabels (`rle`) or polygonlabels (`points`)."""
    return {
        "original_width": WIDTH,
        "original_height": HEIGHT,
        "image_rotation": 0,
        "value": {**value, kind: [name]},
        "id": "r1",
        "from_name": "tag",
        "to_name": "image",
        "type": kind,
        "origin": "manual",
    }


def write_studio(root: Path, document: Any, name: str = "project-3-at-2026-01-02.json") -> Path:
    """Writes the document beside the images."""
    root.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(document))
    return root


@dataclass(frozen=True)
class Native:
    """A native batch as `iip` reads it."""

    rows: list[dict[str, str]]
    masks: list[Any]
    parsed: LabelFile
    opinions: LabelFile


def read_native(batch: Path) -> Native:
    """Reads labels.csv, the masks that it names, and annotations.csv."""
    files = {
        file.relative_to(batch).as_posix(): content_md5(file.read_bytes())
        for file in batch.rglob("*")
        if file.is_file()
    }
    data = (batch / "labels.csv").read_bytes()
    listing = Listing(files, KnownImages({}))
    parsed = parse_labels(data, batch="b", file="labels.csv", listing=listing)
    with (batch / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    masks = [
        cv2.imread(str(batch / row["mask"]), cv2.IMREAD_UNCHANGED) if row.get("mask") else None
        for row in rows
    ]
    beside = batch / "annotations.csv"
    opinions = LabelFile((), (), {})
    if beside.exists():
        opinions = parse_annotations(
            beside.read_bytes(), batch="b", file=beside.name, listing=listing
        )
    assert not opinions.problems
    return Native(rows, masks, parsed, opinions)


def studio_batch(root: Path, tasks: Any) -> tuple[Native, list[str]]:
    """The batch made of tasks, of which nothing is wrong, and what was logged."""
    log: list[str] = []
    write_studio(root / "export", tasks)
    convert = partial(convert_labelstudio, mask_classes=MASK_CLASSES, log=log.append)
    assert convert(root / "export", root / "out").problems == ()
    return read_native(root / "out"), [line for line in log if "Reading" not in line]


def only(problems: tuple[Problem, ...]) -> Problem:
    """The one problem."""
    assert len(problems) == 1, problems
    return problems[0]


def assert_taken_or_refused(out: Path, problems: tuple[Problem, ...]) -> None:
    """The batch is there when nothing is wrong; else there is nothing, and why can be written."""
    made = sorted(path.name for path in out.parent.iterdir())
    if problems:
        assert made == ["export"]
        assert problem_frame(problems).write_csv().encode()
        assert all(problem.reason and problem.fix for problem in problems)
    else:
        assert made == ["export", out.name]
        assert all(
            part not in ("..", "")
            for row in read_native(out).rows
            for part in row["image"].split("/")
        )


_JUNK: list[Any] = [
    None,
    True,
    -1,
    0,
    7,
    10**9,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x",
    "\ud800",
    "a\nb",
    "../../outside.png",
    "/etc/passwd",
    "a.png",
    "x" * 500,
    [],
    {},
    [[]],
    [None],
    [1, 2],
    ["iris"],
    {"a": {"b": 1}},
    {"counts": [10**9], "size": [HEIGHT, WIDTH]},
    {"counts": "!!", "size": [HEIGHT, WIDTH]},
]


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> Any:
    """The document with one to three of its places overwritten, deleted or doubled."""
    junk = st.sampled_from(_JUNK).map(copy.deepcopy)
    broken = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(broken))
        if not places:
            return draw(junk)
        holder, key = draw(st.sampled_from(places))
        act = draw(st.sampled_from(["overwrite", "overwrite", "delete", "double"]))
        if act == "delete":
            del holder[key]
        elif act == "double" and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = draw(junk)
    return broken


def _places(node: Any) -> Any:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    for key in keys:
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from _places(node[key])
