"""Label Studio's JSON export, whole or JSON-MIN, to a native batch.

A task is an image, an annotation one labeler's answers about it: the label, answers to other
questions, and a mask painted from what was drawn (see `labelstudio_results`). The answers that
count become the row of labels.csv, with what the task's `data` says; where there are several, each
person's newest becomes a row of annotations.csv. Predictions and what was cancelled are left out,
and so is what a review rejected.

In JSON-MIN a task and one annotation are one flat object: the task's data, the answer to each
question by its name, regions as lists, and who made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from iip_assets.dataset.labels import COLUMNS
from iip_assets.dataset.schema import ANNOTATIONS_FILE, IMAGE_SUFFIXES, LABELS
from iip_assets.ingest.formats.export_files import (
    BadEntry,
    as_id,
    as_list,
    as_object,
    as_text,
    entries,
)
from iip_assets.ingest.formats.labelstudio_answers import (
    Answer,
    Remarks,
    moment_of,
    named,
    newest_of_each,
    review_of,
    what_counts,
)
from iip_assets.ingest.formats.labelstudio_results import (
    REGIONS,
    Asked,
    as_word,
    asked_of,
    label_question,
    read_results,
)
from iip_assets.ingest.formats.native import ExportReader, cells_of, convert, fields_of
from iip_assets.ingest.formats.sources import NativeRow

_ABOUT = {"created_at": "created_at", "updated_at": "updated_at", "annotator": "completed_by"}
_DROPPED = ("id", "annotation_id", "lead_time", "agreement", *_ABOUT)
Numbered = Sequence[tuple[int, Any]]
_IMAGE, _LABEL = "image", "label"


def is_minimal(tasks: Numbered) -> bool:
    """Whether these are of JSON-MIN."""
    return any(isinstance(task, dict) and "annotation_id" in task for _, task in tasks) and not any(
        isinstance(task, dict) and "data" in task for _, task in tasks
    )


def whole_tasks(tasks: Numbered, question: str | None) -> list[tuple[int, Any]]:
    """The tasks with their annotations; those of one id are annotations of one task.

    The `question` that asks for the label is called `label` in them.
    """
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


def _asked_of_flat(tasks: Numbered) -> Asked:
    """What stands under each key, as only the answers tell which of them are questions."""
    asked: dict[str, set[str | None]] = {}
    for _, flat in tasks:
        for name, value in flat.items() if isinstance(flat, dict) else ():
            asked.setdefault(name, set()).add(as_word(value))
    return asked


def _whole(flat: Mapping[str, Any], question: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {}
    results: list[dict[str, Any]] = []
    for name, value in flat.items():
        if name in _DROPPED:
            continue
        several = value.get("choices") if isinstance(value, dict) else None
        if name == question or several is not None:
            choices = several or (value if isinstance(value, list) else [value])
            asked = _LABEL if name == question else name
            results.append(_result(asked, "choices", {"choices": choices}))
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
        minimal = is_minimal(tasks)
        asked = _asked_of_flat(tasks) if minimal else asked_of(task for _, task in tasks)
        question = label_question(asked)
        rows: list[NativeRow] = []
        told = Remarks()
        if question is None:
            told.no_label = [name for name, words in asked.items() if words & set(LABELS)]
        if minimal:
            tasks, question = whole_tasks(tasks, question), question and _LABEL
        for row, task in tasks:
            with self.findings.catching(name, row):
                rows += self._task_rows(as_object(task, "the task"), name, row, question, told)
        self.remarks += told.words()
        return rows

    def _task_rows(
        self, task: Mapping[str, Any], name: str, row: int, question: str | None, told: Remarks
    ) -> list[NativeRow]:
        data = as_object(task.get("data"), "data")
        key = _image_key(data)
        column = f"data.{key}"
        url = as_text(data[key], column)
        image = self.images.find(url, column, folders=[PurePosixPath(name).parent.name])
        fix = "keep one of the two tasks, or name their images differently"
        self.claim(image, f"task {row} of {name}", column, url, fix=fix)
        facts = {other: data[other] for other in data if other != key}
        for other in [name for name in facts if _is_left_out(name, facts[name])]:
            told.left_out[f"data.{other}"] += 1
            del facts[other]
        answers = self._answers(task, row, question, told)
        if not answers and any(task.get(name) for name in ("annotations", "drafts", "predictions")):
            told.unanswered += 1
        fields = {
            "image": column,
            **fields_of(facts, "data"),
            **{word: f"annotations.result.{word}" for one in answers for word in one.cells},
            "mask": "annotations.result",
            "labeler": "annotations.completed_by",
            "labeled_at": "annotations.updated_at",
        }
        native_row = partial(NativeRow, image, name, row, fields=fields)
        counts = what_counts(answers)
        told.count(answers)
        cells = {**cells_of(facts, "data"), **counts.cells}
        return [
            native_row(cells=cells, regions=counts.regions, size=counts.size),
            *(
                native_row(
                    cells=one.own_cells, regions=one.regions, size=one.size, table=ANNOTATIONS_FILE
                )
                for one in (newest_of_each(answers) if len(answers) > 1 else ())
                if one.labeler and (one.label or one.regions)
            ),
        ]

    def _answers(
        self, task: Mapping[str, Any], row: int, question: str | None, told: Remarks
    ) -> list[Answer]:
        """What people said of the image, in the order of the export."""
        answers: list[Answer] = []
        for _, entry in entries(task, "annotations"):
            annotation = as_object(entry, "annotations")
            if annotation.get("was_cancelled"):
                continue
            review = review_of(annotation)
            if review == "rejected":
                told.rejected += 1
                continue
            found = read_results(annotation, self.values, question=question, row=row)
            told.of_regions += found.of_regions
            told.boxes += found.boxes
            answers.append(
                Answer(
                    labeler=_labeler(annotation),
                    at=moment_of(annotation),
                    is_truth=bool(annotation.get("ground_truth")),
                    is_accepted=review == "accepted",
                    cells=found.cells,
                    regions=found.regions,
                    size=found.size,
                )
            )
        return named(answers)


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


def _is_left_out(name: str, value: Any) -> bool:
    """Whether it is no text or number, as which a column of one's own has its values."""
    return isinstance(value, (dict, list)) and name.strip().lower() not in COLUMNS


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


convert_labelstudio = partial(
    convert,
    form="labelstudio",
    reader=LabelStudioReader,
    nothing=(None, "no task is in the export", "export the tasks again"),
)
"""Writes a native batch from a Label Studio export; see `convert`."""
