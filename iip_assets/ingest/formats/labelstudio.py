"""Label Studio's JSON export, whole or JSON-MIN, to a native batch.

It knows images by URL: an upload (`/data/upload/3/ab12cd34-eye_1.jpg`: a prefix of its own, and
spaces replaced), a file of local storage (`/data/local-files/?d=eyes/eye.jpg`), an object in a
bucket, or a plain name.

There a task and one annotation are one flat object: the task's data, the answer to each question by
its name, regions as lists, and who made it.

A task is an image, an annotation one labeler's word on it: it becomes a row with the label that
was chosen, the answers to other questions, and a mask painted from brush strokes and polygons
(overlaps: see `regions`). Of several annotations by one labeler the newest counts; those that were
cancelled and predictions do not. What a task's `data` says is in every row, unless the labeler said
otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from iip_assets.dataset.schema import IMAGE_SUFFIXES, LABELS
from iip_assets.ingest.formats.export_files import (
    BadEntry,
    ImageFiles,
    as_id,
    as_list,
    as_object,
    as_text,
    entries,
)
from iip_assets.ingest.formats.labelstudio_results import (
    REGIONS,
    Results,
    label_question,
    named_or_only,
    read_results,
)
from iip_assets.ingest.formats.native import ExportReader, NativeRow, cells_of, convert

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
_LONGEST = 4096

_ABOUT = {"created_at": "created_at", "updated_at": "updated_at", "annotator": "completed_by"}
_DROPPED = ("id", "annotation_id", "lead_time", "agreement", *_ABOUT)
Numbered = Sequence[tuple[int, Any]]
_IMAGE = "image"


class TaskImages:
    """The images in an export's folder, by the names that Label Studio has for them."""

    def __init__(self, images: ImageFiles) -> None:
        self._images = images
        self._stored: dict[str, set[str]] = {}
        for name in images.by_name:
            # As Label Studio (that is, Django) names a file that it stores.
            stored = re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))
            self._stored.setdefault(stored, set()).add(name)

    def find(self, url: str, column: str) -> str:
        """The path of the image that a task means.

        As much of its path counts as the folder has. An upload's prefix may be there or not.

        Raises:
            BadEntry: There is none, several would do, or the name leaves the folder.
        """
        if len(url) > _LONGEST:
            raise BadEntry(column, url, "too long for an image's name", "put it into a file")
        path = _path_of(url)
        uploaded = _UPLOADED.fullmatch(path[-1])
        name = uploaded[1] if uploaded else path[-1]
        readings = [path, _parts(url), [name]]
        if uploaded:
            readings += [[stored] for stored in sorted(self._stored.get(name, ()))]
        for parts in readings:
            if ".." in parts:
                fix = "name a file in the folder"
                raise BadEntry(column, url, "a path that leaves its folder", fix)
            found = self._images.find(parts, column, whole=False)
            if found is not None:
                return found
        raise self._images.absent([name], column, url, fix=f"put {name} beside the JSON file")


def _path_of(url: str) -> list[str]:
    """The folders and the file name in a URL."""
    try:
        split = urlsplit(url)
        local = parse_qs(split.query).get("d")
    except ValueError:  # no URL, such as one with half a bracket
        return _parts(url)
    return _parts(local[-1] if local else unquote(split.path))


def _parts(path: str) -> list[str]:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return parts or [path]


def is_minimal(tasks: Numbered) -> bool:
    """Whether these are of JSON-MIN."""
    return any(isinstance(task, dict) and "annotation_id" in task for _, task in tasks) and not any(
        isinstance(task, dict) and "data" in task for _, task in tasks
    )


def whole_tasks(tasks: Numbered) -> list[tuple[int, Any]]:
    """The tasks with their annotations; those of one id are annotations of one task."""
    question = _question([flat for _, flat in tasks if isinstance(flat, dict)])
    whole: dict[Any, tuple[int, Any]] = {}
    for row, flat in tasks:
        if not isinstance(flat, dict):
            whole[("no task", row)] = (row, flat)
            continue
        task = _whole(flat, question)
        key = flat.get("id")
        if not isinstance(key, (int, str)):
            key = ("no id", row)
        if key in whole and whole[key][1]["data"] == task["data"]:
            whole[key][1]["annotations"] += task["annotations"]
        else:
            # Tasks of one id that differ in their data are told apart: they name other images.
            whole[key if key not in whole else ("differs", row)] = (row, task)
    return list(whole.values())


def _question(flats: Sequence[Mapping[str, Any]]) -> str | None:
    """The key of the label: by its name, or else the only one whose every value is a label."""
    answers: dict[str, set[Any]] = {}
    for flat in flats:
        for name, value in flat.items():
            answers.setdefault(name, set()).add(value if isinstance(value, str) else None)
    return named_or_only(answers, [name for name, words in answers.items() if words <= set(LABELS)])


def _whole(flat: Mapping[str, Any], question: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {}
    results: list[dict[str, Any]] = []
    for name, value in flat.items():
        if name in _DROPPED:
            continue
        if name == question:
            choices = value if isinstance(value, list) else [value]
            results.append(_result("label", "choices", {"choices": choices}))
        elif isinstance(value, list):
            results += [_result(name, _kind(one), one) for one in value]
        else:
            data[name] = value
    about = {whole: flat.get(minimal) for minimal, whole in _ABOUT.items()}
    return {"data": data, "annotations": [{**about, "result": results}]}


def _result(name: str, kind: str, value: Any) -> dict[str, Any]:
    size = (
        {key: value.get(key) for key in ("original_width", "original_height", "image_rotation")}
        if isinstance(value, dict)
        else {}
    )
    return {"from_name": name, "type": kind, "value": value, **size}


def _kind(value: Any) -> str:
    """The kind of a region: the key that names its classes."""
    if isinstance(value, dict):
        for kind in REGIONS:
            if kind in value:
                return kind
    return "unknown"


class LabelStudioReader(ExportReader):
    """Reads tasks."""

    def rows(self, document: Any, name: str) -> list[NativeRow]:
        """The rows of one file's tasks."""
        tasks = list(enumerate(as_list(document, "the file"), start=1))
        if is_minimal(tasks):
            tasks = whole_tasks(tasks)
        question = label_question(task for _, task in tasks)
        images = TaskImages(self.images)
        rows: list[NativeRow] = []
        for row, task in tasks:
            with self.findings.catching(name, row):
                rows += self._task_rows(as_object(task, "the task"), images, name, row, question)
        return rows

    def _task_rows(
        self, task: Mapping[str, Any], images: TaskImages, name: str, row: int, question: str | None
    ) -> list[NativeRow]:
        data = as_object(task.get("data"), "data")
        key = _image_key(data)
        column = f"data.{key}"
        image = images.find(as_text(data[key], column), column)
        fix = "keep one of the two tasks, or name their images differently"
        self.claim(image, f"task {row} of {name}", column, data[key], fix=fix)
        facts = cells_of({other: data[other] for other in data if other != key}, "data")
        newest: dict[str, tuple[str, Results]] = {}
        for _, entry in entries(task, "annotations"):
            annotation = as_object(entry, "annotations")
            if annotation.get("was_cancelled"):
                continue
            found = read_results(annotation, self.values, question=question, row=row)
            labeler, at = _labeler(annotation), _moment(annotation)
            if labeler not in newest or newest[labeler][0] <= at:
                newest[labeler] = at, found
        return [
            NativeRow(
                image,
                name,
                row,
                facts | ({"labeler": labeler} if labeler else {}) | dict(found.cells),
                found.regions,
                found.size,
            )
            for labeler, (_, found) in (newest or {"": ("", Results({}))}).items()
        ]


def _image_key(data: Mapping[str, Any]) -> str:
    """The key under which a task names its image: `image`, or the only one that may be."""
    if _IMAGE in data:
        return _IMAGE
    named = [key for key, value in data.items() if isinstance(value, str) and _names_image(value)]
    if len(named) != 1:
        raise BadEntry(
            "data", data, "it does not tell which image is meant", "name the image as `image`"
        )
    return named[0]


def _names_image(value: str) -> bool:
    """Whether the text may name an image: before the query of a URL, or (local storage) in it."""
    ends = (value.lower(), value.lower().partition("?")[0])
    return any(end.endswith(IMAGE_SUFFIXES) for end in ends)


def _labeler(annotation: Mapping[str, Any]) -> str:
    """Who made an annotation: an e-mail address where the export has it, else an id, or nothing."""
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    if by is None:
        return ""
    column = "annotations.completed_by"
    return cells_of({"labeler": as_id(by, column)}, column).get("labeler", "")


def _moment(annotation: Mapping[str, Any]) -> str:
    """When it was changed last, in ISO 8601, which sorts as text; empty when not known."""
    at = annotation.get("updated_at") or annotation.get("created_at")
    return at if isinstance(at, str) else ""


convert_labelstudio = partial(
    convert,
    patterns=("*.json",),
    reader=LabelStudioReader,
    nothing=(None, "no task is in the export", "export the tasks again"),
)
"""Writes a native batch from a Label Studio export; see `convert`."""
