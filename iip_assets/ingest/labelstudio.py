"""Label Studio's JSON export, whole or JSON-MIN, to a native batch.

A task is an image, an annotation one labeler's word on it: it becomes a row with the label that
was chosen, the answers to other questions, and a mask painted from brush strokes and polygons
(overlaps: see `regions`). Of several annotations by one labeler the newest counts; those that were
cancelled and predictions do not. What a task's `data` says is in every row, unless the labeler said
otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iip_assets.dataset.problems import Problem
from iip_assets.dataset.schema import IMAGE_SUFFIXES
from iip_assets.ingest.export_folder import open_export
from iip_assets.ingest.image_files import list_images
from iip_assets.ingest.json_file import (
    BadEntry,
    Findings,
    as_id,
    as_list,
    as_object,
    as_text,
    entries,
    read_json,
)
from iip_assets.ingest.labelstudio_min import is_minimal, whole_tasks
from iip_assets.ingest.labelstudio_names import TaskImages
from iip_assets.ingest.labelstudio_results import Said, label_question, read_results
from iip_assets.ingest.native_batch import NativeRow, cells_of, write_native
from iip_assets.ingest.regions import class_values

_IMAGE = "image"


def convert_labelstudio(
    source: Path,
    out: Path,
    *,
    mask_classes: Sequence[str],
    max_megapixels: float = 50.0,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[Problem, ...]:
    """Write the native batch `out` from a Label Studio export.

    Args:
        source: The folder with the JSON export and the images, or the JSON file in it.
        out: The batch's folder; it must not exist. It is made only when there is no problem.
        mask_classes: Names of the classes 0, 1, 2…; labels are matched whatever their case.
        max_megapixels: Larger images are refused.
        log: Takes the lines of progress where there is no terminal.

    Returns:
        All that is wrong with the export.

    Raises:
        FileExistsError: `out` is there already.
    """
    findings = Findings(source.parent.name if source.is_file() else source.name)
    rows: list[NativeRow] = []
    with findings.catching(source.name):
        export = open_export(source, patterns=("*.json",))
        images = list_images(export.root)
        reader = _Reader(TaskImages(images), class_values(mask_classes), findings)
        for file in export.files:
            with findings.catching(export.named(file)):
                rows += reader.rows(read_json(file), export.named(file))
        if not rows and not findings:
            raise BadEntry(None, None, "no task is in the export", "export the tasks again")
        if not findings:
            write_native(
                rows, images, out, findings=findings, max_megapixels=max_megapixels, log=log
            )
    return findings.problems()


@dataclass(frozen=True)
class _Annotation:
    """One labeler's word on an image, and when it was changed last (empty when not told)."""

    labeler: Mapping[str, str]
    at: str
    said: Said


class _Reader:
    """Reads the files of one export; every task that is bad becomes a problem."""

    def __init__(self, images: TaskImages, values: Mapping[str, int], findings: Findings) -> None:
        self._images = images
        self._values = values
        self._findings = findings
        self._told: dict[str, str] = {}

    def rows(self, document: Any, name: str) -> list[NativeRow]:
        """The rows of one file's tasks."""
        tasks = list(enumerate(as_list(document, "the file"), start=1))
        if is_minimal(tasks):
            tasks = whole_tasks(tasks)
        question = label_question(task for _, task in tasks)
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
        image = self._images.find(as_text(data[key], f"data.{key}"), f"data.{key}")
        if image in self._told:
            raise BadEntry(
                f"data.{key}",
                data[key],
                f"a second task of {image}; the first is {self._told[image]}",
                "keep one of the two tasks, or name their images differently",
            )
        self._told[image] = f"task {row} of {name}"
        facts = cells_of({other: data[other] for other in data if other != key}, "data")
        kept: dict[str, _Annotation] = {}
        for _, entry in entries(task, "annotations"):
            annotation = as_object(entry, "annotations")
            if annotation.get("was_cancelled"):
                continue
            said = read_results(annotation, self._values, question=question, row=row)
            read = _Annotation(_labeler(annotation), _moment(annotation), said)
            key = read.labeler.get("labeler", "")
            if key not in kept or kept[key].at <= read.at:
                kept[key] = read
        return [
            NativeRow(
                image,
                name,
                row,
                {**facts, **one.labeler, **one.said.cells},
                one.said.regions,
                one.said.size,
            )
            for one in kept.values() or [_Annotation({}, "", Said({}))]
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


def _labeler(annotation: Mapping[str, Any]) -> dict[str, str]:
    """Who made an annotation: an e-mail address where the export has it, else an id."""
    by = annotation.get("completed_by")
    if isinstance(by, dict):
        by = by.get("email") or by.get("id")
    if by is None:
        return {}
    column = "annotations.completed_by"
    return cells_of({"labeler": as_id(by, column)}, column)


def _moment(annotation: Mapping[str, Any]) -> str:
    """When an annotation was changed last, in ISO 8601, which sorts as text."""
    told = annotation.get("updated_at") or annotation.get("created_at")
    return told if isinstance(told, str) else ""
