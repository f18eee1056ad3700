"""Label Studio's JSON export, whole or JSON-MIN, to a native batch.

A task is a picture, an annotation one labeler's word on it: it becomes a row with the label that
was chosen, the answers to other questions, and a mask painted from brush strokes and polygons
(overlaps: see `regions`). Of several annotations by one labeler the newest counts; those that were
cancelled and predictions do not. What a task's `data` says is in every row, unless the labeler said
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.brush_rle import decode_brush
from iip_assets.dataset.export_folder import open_export
from iip_assets.dataset.json_file import (
    BadEntry,
    Findings,
    as_id,
    as_list,
    as_object,
    as_side,
    as_text,
    entries,
    read_json,
)
from iip_assets.dataset.labels import COLUMNS
from iip_assets.dataset.labelstudio_min import is_minimal, whole_tasks
from iip_assets.dataset.labelstudio_names import TaskPictures
from iip_assets.dataset.native_batch import NativeRow, cells_of, write_native
from iip_assets.dataset.picture_files import list_pictures
from iip_assets.dataset.problems import Problem
from iip_assets.dataset.regions import Region, class_values, polygon_pixels, unknown_class
from iip_assets.dataset.rle import BadRuns
from iip_assets.dataset.validation import BadCell, parse_word
from iip_assets.dataset.words import IMAGE_SUFFIXES, LABELS

_IMAGE = "image"
_RESULT = "annotations.result"
# Results that answer a question about the whole picture, and where the answer stands in them.
_ANSWERS = {
    "choices": "choices",
    "textarea": "text",
    "number": "number",
    "rating": "rating",
    "datetime": "datetime",
}
_REGIONS = ("brushlabels", "polygonlabels", "labels")
# The names that Label Studio's own templates and `iip export` give to the question of the label.
_LABEL_QUESTIONS = ("label", "choice")


def convert_labelstudio(
    source: Path,
    out: Path,
    *,
    mask_classes: Sequence[str],
    max_megapixels: float = 50.0,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[Problem, ...]:
    """Write the native batch `out` from a Label Studio export.

    Args:
        source: The folder with the JSON export and the pictures, or the JSON file in it.
        out: The batch's folder; it must not exist. It is made only when there is no problem.
        mask_classes: Names of the classes 0, 1, 2…; labels are matched whatever their case.
        max_megapixels: Larger pictures are refused.
        say: Takes the lines of progress where there is no terminal.

    Returns:
        All that is wrong with the export.

    Raises:
        FileExistsError: `out` is there already.
    """
    findings = Findings(source.parent.name if source.is_file() else source.name)
    rows: list[NativeRow] = []
    with findings.catching(source.name):
        export = open_export(source, patterns=("*.json",))
        pictures = list_pictures(export.root)
        reader = _Reader(TaskPictures(pictures), class_values(mask_classes), findings)
        for file in export.files:
            with findings.catching(export.named(file)):
                rows += reader.rows(read_json(file), export.named(file))
        if not rows and not findings:
            raise BadEntry(None, None, "no task is in the export", "export the tasks again")
        if not findings:
            write_native(
                rows, pictures, out, findings=findings, max_megapixels=max_megapixels, say=say
            )
    return findings.problems()


@dataclass(frozen=True)
class _Annotation:
    """One labeler's word on a picture."""

    labeler: str | None
    at: str
    cells: Mapping[str, str]
    regions: tuple[Region, ...]
    size: tuple[int | None, int | None]


class _Reader:
    """Reads the files of one export; every task that is bad becomes a problem."""

    def __init__(
        self, pictures: TaskPictures, values: Mapping[str, int], findings: Findings
    ) -> None:
        self._pictures = pictures
        self._values = values
        self._findings = findings
        self._told: dict[str, str] = {}

    def rows(self, document: Any, name: str) -> list[NativeRow]:
        """The rows of one file's tasks."""
        tasks = list(enumerate(as_list(document, "the file"), start=1))
        if is_minimal(tasks):
            tasks = whole_tasks(tasks)
        question = _label_question(tasks)
        rows: list[NativeRow] = []
        for row, task in tasks:
            with self._findings.catching(name, row):
                rows += self._task_rows(as_object(task, "the task"), name, row, question)
        return rows

    def _task_rows(
        self, task: Mapping[str, Any], name: str, row: int, question: str | None
    ) -> list[NativeRow]:
        data = as_object(task.get("data"), "data")
        key = _image_key(data)
        picture = self._pictures.find(as_text(data[key], f"data.{key}"), f"data.{key}")
        if picture in self._told:
            raise BadEntry(
                f"data.{key}",
                data[key],
                f"a second task of {picture}; the first is {self._told[picture]}",
                "keep one of the two tasks, or name their pictures differently",
            )
        self._told[picture] = f"task {row} of {name}"
        facts = cells_of({other: data[other] for other in data if other != key}, "data")
        kept: dict[str | None, _Annotation] = {}
        for _, entry in entries(task, "annotations"):
            annotation = as_object(entry, "annotations")
            if annotation.get("was_cancelled"):
                continue
            read = self._read_annotation(annotation, row, question)
            if read.labeler not in kept or kept[read.labeler].at <= read.at:
                kept[read.labeler] = read
        return [
            NativeRow(
                picture,
                name,
                row,
                {**facts, **_labeler_cell(one.labeler), **one.cells},
                one.regions,
                one.size,
            )
            for one in kept.values() or [_Annotation(None, "", {}, (), (None, None))]
        ]

    def _read_annotation(
        self, annotation: Mapping[str, Any], row: int, question: str | None
    ) -> _Annotation:
        answers: dict[str, Any] = {}
        regions: list[Region] = []
        sizes: set[tuple[int | None, int | None]] = set()
        for _, entry in entries(annotation, "result"):
            result = as_object(entry, _RESULT)
            kind = as_text(result.get("type"), f"{_RESULT}.type")
            if kind == "relation":  # of two regions; it says nothing of the picture
                continue
            value = as_object(result.get("value"), f"{_RESULT}.value")
            if kind in _ANSWERS:
                self._add_answer(answers, result, value, question)
            elif kind in _REGIONS:
                regions.append(self._region(value, kind, row))
                sizes.add(_size(result))
            else:
                raise _unread(kind)
        if len(sizes) > 1:
            raise BadEntry(
                f"{_RESULT}.original_width",
                None,
                "the regions of one annotation are of pictures of several sizes",
                "label the picture again",
            )
        return _Annotation(
            _labeler(annotation.get("completed_by")),
            _moment(annotation),
            cells_of(answers, _RESULT),
            tuple(regions),
            next(iter(sizes), (None, None)),
        )

    def _add_answer(
        self,
        answers: dict[str, Any],
        result: Mapping[str, Any],
        value: Mapping[str, Any],
        question: str | None,
    ) -> None:
        name = as_text(result.get("from_name"), f"{_RESULT}.from_name")
        kind = result["type"]
        column = f"{_RESULT}.{kind}"
        answer = value.get(_ANSWERS[kind])
        if isinstance(answer, list):
            if len(answer) != 1:
                raise BadEntry(column, answer, "expected one answer", "choose one")
            answer = answer[0]
        if name == question:
            name, answer = "label", _label_word(answer, column)
        if answers.setdefault(name, answer) != answer:
            raise BadEntry(column, answer, f"a second answer to {name}", "keep one of the two")

    def _region(self, value: Mapping[str, Any], kind: str, row: int) -> Region:
        column = f"{_RESULT}.{kind}"
        names = as_list(value.get(kind), column)
        if len(names) != 1:
            raise BadEntry(column, None, f"a region of {len(names)} classes", "give it one class")
        name = as_text(names[0], column).strip()
        if name.lower() not in self._values:
            raise unknown_class(name, self._values, column)
        if "rle" in value:
            fill = partial(_brush_pixels, value["rle"])
        elif "points" in value:
            fill = partial(_polygon_pixels, value["points"])
        else:
            raise BadEntry(
                column, name, "neither brush stroke nor polygon", "draw it with one of the two"
            )
        return Region(self._values[name.lower()], fill, row)


def _unread(kind: str) -> BadEntry:
    return BadEntry(
        f"{_RESULT}.type",
        kind,
        f"not read here; regions may be {', '.join(_REGIONS)}, answers {', '.join(_ANSWERS)}",
        "draw regions with the brush or as polygons, and delete the others",
    )


def _image_key(data: Mapping[str, Any]) -> str:
    """The key under which a task names its picture: `image`, or the only one that may be."""
    if _IMAGE in data:
        return _IMAGE
    named = [
        key
        for key, value in data.items()
        if isinstance(value, str) and value.lower().partition("?")[0].endswith(IMAGE_SUFFIXES)
    ]
    # Local storage has the file's name in its query.
    named = named or [
        key
        for key, value in data.items()
        if isinstance(value, str) and value.lower().endswith(IMAGE_SUFFIXES)
    ]
    if len(named) != 1:
        raise BadEntry(
            "data", data, "it does not tell which picture is meant", "name the picture as `image`"
        )
    return named[0]


def _label_question(tasks: Iterable[tuple[int, Any]]) -> str | None:
    """The question (a `from_name`) that asks for the label: by its name, or the only one."""
    asked: set[str] = set()
    for _, task in tasks:
        for result in _results(task):
            name = result.get("from_name")
            if result.get("type") == "choices" and isinstance(name, str):
                asked.add(name)
    asked -= set(COLUMNS) - {"label"}
    for name in _LABEL_QUESTIONS:
        if name in asked:
            return name
    return asked.pop() if len(asked) == 1 else None


def _results(task: Any) -> Iterable[Mapping[str, Any]]:
    annotations = task.get("annotations") if isinstance(task, dict) else None
    for annotation in annotations if isinstance(annotations, list) else ():
        results = annotation.get("result") if isinstance(annotation, dict) else None
        for result in results if isinstance(results, list) else ():
            if isinstance(result, dict):
                yield result


def _label_word(answer: Any, column: str) -> str:
    try:
        return parse_word(as_text(answer, column).strip(), LABELS)
    except BadCell as bad:
        mend = f"call the choices {', '.join(LABELS)} in the labeling tool"
        raise BadEntry(column, answer, bad.why, mend) from bad


def _labeler(completed_by: Any) -> str | None:
    """Who made an annotation: an e-mail address where the export has it, else an id."""
    if completed_by is None:
        return None
    if isinstance(completed_by, dict):
        told = completed_by.get("email") or completed_by.get("id")
        return None if told is None else str(as_id(told, "annotations.completed_by"))
    return str(as_id(completed_by, "annotations.completed_by"))


def _labeler_cell(labeler: str | None) -> dict[str, str]:
    return {} if labeler is None else cells_of({"labeler": labeler}, "annotations.completed_by")


def _moment(annotation: Mapping[str, Any]) -> str:
    """When an annotation was changed last: ISO 8601, which sorts as text; empty when not told."""
    told = annotation.get("updated_at") or annotation.get("created_at") or ""
    return told if isinstance(told, str) else ""


def _size(result: Mapping[str, Any]) -> tuple[int | None, int | None]:
    if result.get("image_rotation"):
        raise BadEntry(
            f"{_RESULT}.image_rotation",
            result["image_rotation"],
            "the region was drawn on a picture that was turned",
            "turn the picture back in the labeling tool and draw the region again",
        )
    return (
        as_side(result.get("original_height"), f"{_RESULT}.original_height"),
        as_side(result.get("original_width"), f"{_RESULT}.original_width"),
    )


def _brush_pixels(rle: Any, height: int, width: int) -> NDArray[np.bool_]:
    column = f"{_RESULT}.value.rle"
    try:
        return decode_brush(as_list(rle, column), height=height, width=width)
    except BadRuns as error:
        raise BadEntry(column, None, str(error), "draw the region again") from error


def _polygon_pixels(points: Any, height: int, width: int) -> NDArray[np.bool_]:
    column = f"{_RESULT}.value.points"
    return polygon_pixels(
        as_list(points, column),
        column,
        height=height,
        width=width,
        scale=(width / 100, height / 100),
    )
