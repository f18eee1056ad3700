"""Label Studio's JSON-MIN brought back to the shape of its whole export.

There a task and one annotation are one flat object: the task's data, the answer to each question by
its name, regions as lists, and who made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from iip_assets.dataset.schema import LABELS
from iip_assets.ingest.labelstudio_results import LABEL_QUESTIONS, REGIONS

_ABOUT = {"created_at": "created_at", "updated_at": "updated_at", "annotator": "completed_by"}
_DROPPED = ("id", "annotation_id", "lead_time", "agreement", *_ABOUT)

Numbered = Sequence[tuple[int, Any]]


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
    for name in LABEL_QUESTIONS:
        if name in answers:
            return name
    labels = [name for name, words in answers.items() if words <= set(LABELS)]
    return labels[0] if len(labels) == 1 else None


def _whole(flat: Mapping[str, Any], question: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {}
    results: list[dict[str, Any]] = []
    for name, value in flat.items():
        if name in _DROPPED:
            continue
        if name == question:
            results.append(_result("label", "choices", {"choices": _as_list(value)}))
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


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
