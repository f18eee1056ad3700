"""What a labeler did in Label Studio, one result after the other: answers, and regions."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.labels import COLUMNS
from iip_assets.dataset.schema import LABELS
from iip_assets.ingest.formats.export_files import (
    BadEntry,
    as_list,
    as_object,
    as_text,
    entries,
    excerpt,
)
from iip_assets.ingest.formats.masks import (
    BadRuns,
    Region,
    decode_brush,
    polygon_pixels,
    unknown_class,
)
from iip_assets.ingest.formats.native import Size, cells_of, label_of, size_of

REGIONS = ("brushlabels", "polygonlabels", "labels")
"""The kinds of region that are read; the kind is also the key that names the classes."""

_RESULT = "annotations.result"
# Results that answer a question about the whole image, and where the answer stands in them.
_ANSWERS = {
    "choices": "choices",
    "textarea": "text",
    "number": "number",
    "rating": "rating",
    "datetime": "datetime",
}
# Drawn without a class: the result of the same id beside it, of the kind `labels`, has both.
_DRAWN = ("brush", "polygon")


@dataclass(frozen=True)
class Results:
    """What one annotation says.

    Attributes:
        cells: The label and other answers, as cells of labels.csv.
        regions: What was drawn.
        size: Height and width of the image that was drawn on, where the export has it.
    """

    cells: Mapping[str, str]
    regions: tuple[Region, ...] = ()
    size: Size = (None, None)


def read_results(
    annotation: Mapping[str, Any], values: Mapping[str, int], *, question: str | None, row: int
) -> Results:
    """Read the results of an annotation as it stands in the export.

    Args:
        annotation: The annotation.
        values: Class name in lower case to mask value.
        question: The name of the question that asks for the label.
        row: The number of the task, for the problems.

    Raises:
        BadEntry: A result is not what it should be.
    """
    answers: dict[str, Any] = {}
    regions: list[Region] = []
    sizes: set[Size] = set()
    classed = [result.get("id") for result in _objects(annotation) if _kind(result) == "labels"]
    for _, entry in entries(annotation, "result"):
        result = as_object(entry, _RESULT)
        kind = as_text(result.get("type"), f"{_RESULT}.type")
        # A relation is between two regions: it says nothing of the image.
        if kind == "relation" or (kind in _DRAWN and result.get("id") in classed):
            continue
        value = as_object(result.get("value"), f"{_RESULT}.value")
        if kind in _ANSWERS:
            name, answer = _answer(result, value, kind, question)
            if answers.setdefault(name, answer) != answer:
                reason = f"a second answer to {name}"
                raise BadEntry(f"{_RESULT}.{kind}", answer, reason, "keep one of the two")
        elif kind in REGIONS:
            regions.append(_region(value, kind, values, row))
            sizes.add(_size(result))
        else:
            raise _unread(kind)
    if len(sizes) > 1:
        reason = "the regions of one annotation are of images of several sizes"
        raise BadEntry(f"{_RESULT}.original_width", None, reason, "label the image again")
    size = next(iter(sizes), (None, None))
    return Results(cells_of(answers, _RESULT), tuple(regions), size)


def label_question(tasks: Iterable[Any]) -> str | None:
    """The question (its `from_name`) that asks for the label.

    By its name; or else the only one of a choice whose answers have a label among them.
    """
    asked: dict[str, set[str]] = {}
    for task in tasks:
        for annotation in _listed(task, "annotations"):
            for result in _objects(annotation):
                name, value = result.get("from_name"), result.get("value")
                if _kind(result) == "choices" and isinstance(name, str):
                    words = {word for word in _listed(value, "choices") if isinstance(word, str)}
                    asked.setdefault(name, set()).update(words)
    maybe = [
        name
        for name, words in asked.items()
        if name not in COLUMNS and not {word.lower() for word in words}.isdisjoint(LABELS)
    ]
    return named_or_only(asked, maybe)


def named_or_only(asked: Container[str], maybe: Sequence[str]) -> str | None:
    """The question that `iip export` or Label Studio's templates ask for the label.

    Where it is not among those that are asked, the only one that may be it.
    """
    named = [name for name in ("label", "choice") if name in asked]
    return next(iter(named), maybe[0] if len(maybe) == 1 else None)


def _objects(annotation: Any) -> Iterable[Mapping[str, Any]]:
    return (one for one in _listed(annotation, "result") if isinstance(one, dict))


def _listed(entry: Any, key: str) -> Iterable[Any]:
    """The list under a key; what is none is a problem only once it is read in earnest."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, list) else ()


def _kind(result: Mapping[str, Any]) -> Any:
    return result.get("type")


def _answer(
    result: Mapping[str, Any], value: Mapping[str, Any], kind: str, question: str | None
) -> tuple[str, Any]:
    """The name of the column, and the cell."""
    name = as_text(result.get("from_name"), f"{_RESULT}.from_name")
    column = f"{_RESULT}.{kind}"
    answer = value.get(_ANSWERS[kind])
    if isinstance(answer, list):
        if len(answer) != 1:
            raise BadEntry(column, answer, f"{len(answer)} answers to {name}", "choose one")
        answer = answer[0]
    if name != question:
        return name, answer
    fix = f"call the choices {', '.join(LABELS)} in the labeling tool"
    return "label", label_of(answer, column, fix=fix)


def _region(value: Mapping[str, Any], kind: str, values: Mapping[str, int], row: int) -> Region:
    column = f"{_RESULT}.{kind}"
    names = as_list(value.get(kind), column)
    if len(names) != 1:
        raise BadEntry(column, None, f"a region of {len(names)} classes", "give it one class")
    name = as_text(names[0], column).strip()
    if name.lower() not in values:
        raise unknown_class(name, values, column)
    if "rle" in value:
        return Region(values[name.lower()], partial(_brush_pixels, value["rle"]), row)
    if "points" in value:
        return Region(values[name.lower()], partial(_polygon_pixels, value["points"]), row)
    reason = "neither brush stroke nor polygon"
    raise BadEntry(column, name, reason, "draw it with one of the two")


def _unread(kind: str) -> BadEntry:
    return BadEntry(
        f"{_RESULT}.type",
        kind,
        f"not read here; regions may be {', '.join(REGIONS)}, answers {', '.join(_ANSWERS)}",
        "draw regions with the brush or as polygons, and delete the others",
    )


def _size(result: Mapping[str, Any]) -> Size:
    turned = result.get("image_rotation")
    if turned:
        raise BadEntry(
            f"{_RESULT}.image_rotation",
            excerpt(turned),
            "the region was drawn on an image that was turned",
            "turn the image back in the labeling tool and draw the region again",
        )
    return size_of(result, _RESULT, "original_height", "original_width")


def _brush_pixels(rle: Any, height: int, width: int) -> NDArray[np.bool_]:
    column = f"{_RESULT}.value.rle"
    try:
        return decode_brush(as_list(rle, column), height=height, width=width)
    except BadRuns as error:
        raise BadEntry(column, None, str(error), "draw the region again") from error


def _polygon_pixels(points: Any, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels inside a polygon, whose points are percentages of the image's sides."""
    column = f"{_RESULT}.value.points"
    coordinates: Sequence[Any] = as_list(points, column)
    scale = (width / 100, height / 100)
    return polygon_pixels(coordinates, column, height=height, width=width, scale=scale)
