"""What a labeler did in Label Studio, one result after the other: answers, and regions."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from iip_assets.dataset.labels import COLUMNS
from iip_assets.dataset.schema import LABELS
from iip_assets.images.decode import Undecodable
from iip_assets.images.header import read_header
from iip_assets.ingest.formats.export_files import (
    BadEntry,
    as_list,
    as_number,
    as_object,
    as_text,
    entries,
    excerpt,
)
from iip_assets.ingest.formats.masks import (
    NOT_LABELLED_WORD,
    BadRuns,
    Region,
    decode_brush,
    fill_polygon,
    polygon_pixels,
    unknown_class,
)
from iip_assets.ingest.formats.native import cells_of, label_of, size_of
from iip_assets.ingest.formats.sources import Size

_BOXES = ("rectanglelabels", "keypointlabels", "rectangle", "keypoint")
REGIONS = ("brushlabels", "bitmasklabels", "polygonlabels", "ellipselabels", "labels", *_BOXES[:2])
"""The kinds of region with a class; the kind is also the key that names the classes."""

_RESULT = "annotations.result"
# Results that answer a question about the whole image, and where the answer stands in them.
_ANSWERS = {
    "choices": "choices",
    "textarea": "text",
    "number": "number",
    "rating": "rating",
    "datetime": "datetime",
    "taxonomy": "taxonomy",
}
# Drawn without a class: the result of the same id beside it, of the kind `labels`, has both.
_DRAWN = ("brush", "bitmask", "polygon", "ellipse")
# What stands between several choices, lines or leaves that are one text.
_BETWEEN = "; "


@dataclass(frozen=True)
class Results:
    """What one annotation says.

    Attributes:
        cells: The label and other answers, as cells of labels.csv.
        regions: What was drawn.
        size: Height and width of the image that was drawn on, where the export has it.
        of_regions: How many answers are about a region; they are not about the image.
        boxes: How many boxes and points were drawn; they are no areas.
    """

    cells: Mapping[str, str]
    regions: tuple[Region, ...] = ()
    size: Size = (None, None)
    of_regions: int = 0
    boxes: int = 0


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
    of_regions = boxes = 0
    objects = list(_objects(annotation))
    classed = _ids(one for one in objects if _kind(one) == "labels")
    drawn = _ids(one for one in objects if _kind(one) not in (*_ANSWERS, "relation"))
    for _, entry in entries(annotation, "result"):
        result = as_object(entry, _RESULT)
        kind = as_text(result.get("type"), f"{_RESULT}.type")
        # A relation is between two regions: it says nothing of the image.
        if kind == "relation" or (kind in _DRAWN and _id(result) in classed):
            continue
        value = as_object(result.get("value"), f"{_RESULT}.value")
        if kind in _ANSWERS and _id(result) in drawn:
            of_regions += 1
        elif kind in _ANSWERS:
            name, answer = _answer(result, value, kind, question)
            if answers.setdefault(name, answer) != answer:
                reason = f"a second answer to {name}"
                raise BadEntry(f"{_RESULT}.{kind}", answer, reason, "keep one of the two")
        elif kind in _BOXES and not _is_not_labelled(value, kind):
            boxes += 1
        elif kind in REGIONS:
            regions.append(_region(value, kind, values, row))
            sizes.add(_size(result))
        else:
            raise _unread(kind)
    if len(sizes) > 1:
        reason = "the regions of one annotation are of images of several sizes"
        raise BadEntry(f"{_RESULT}.original_width", None, reason, "label the image again")
    size = next(iter(sizes), (None, None))
    return Results(cells_of(answers, _RESULT), tuple(regions), size, of_regions, boxes)


def _id(result: Mapping[str, Any]) -> str | None:
    key = result.get("id")
    return key if isinstance(key, str) else None


def _ids(results: Iterable[Mapping[str, Any]]) -> set[str]:
    """The ids of results; an answer about something drawn has that one's."""
    return {key for one in results if (key := _id(one)) is not None}


def _is_not_labelled(value: Mapping[str, Any], kind: str) -> bool:
    """Whether a box stakes out what nobody judged, for which its corners are enough."""
    return kind == "rectanglelabels" and value.get(kind) == [NOT_LABELLED_WORD]


Asked = Mapping[str, set[str | None]]
"""What was answered to each question, in lower case; None for what is no word."""


def asked_of(tasks: Iterable[Any]) -> Asked:
    """The answers to every question with choices."""
    asked: dict[str, set[str | None]] = {}
    for task in tasks:
        for annotation in _listed(task, "annotations"):
            for result in _objects(annotation):
                name, value = result.get("from_name"), result.get("value")
                if _kind(result) == "choices" and isinstance(name, str):
                    words = {as_word(one) for one in _listed(value, "choices")}
                    asked.setdefault(name, set()).update(words)
    return asked


def as_word(answer: Any) -> str | None:
    """An answer as it is held against the labels."""
    return answer.strip().lower() if isinstance(answer, str) else None


def label_question(asked: Asked) -> str | None:
    """The question (its `from_name`) that asks for the label.

    By its name, that of `iip export` or of Label Studio's templates; or else the only one that has
    a label for every answer, and not only those that are answers to other questions, too: `none`
    may be said of glasses.
    """
    named = [name for name in ("label", "choice") if name in asked]
    maybe = [
        name
        for name, words in asked.items()
        if name not in COLUMNS and words <= set(LABELS) and words & {"full", "partial"}
    ]
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
        if not answer or (name == question and len(answer) > 1):
            raise BadEntry(column, answer, f"{len(answer)} answers to {name}", "choose one")
        answer = answer[0] if len(answer) == 1 and kind != "taxonomy" else _joined(answer, column)
    if name != question:
        return name, answer
    fix = f"call the choices {', '.join(LABELS)} in the labeling tool"
    return "label", label_of(answer, column, fix=fix)


def _joined(answers: Sequence[Any], column: str) -> str:
    """Several answers as one text; a leaf of a taxonomy is told with all that it is below."""
    return _BETWEEN.join(
        " > ".join(as_text(part, column) for part in one)
        if isinstance(one, list)
        else as_text(one, column)
        for one in answers
    )


def _region(value: Mapping[str, Any], kind: str, values: Mapping[str, int], row: int) -> Region:
    column = f"{_RESULT}.{kind}"
    names = as_list(value.get(kind), column)
    if len(names) != 1:
        raise BadEntry(column, None, f"a region of {len(names)} classes", "give it one class")
    name = as_text(names[0], column).strip()
    if name.lower() not in values:
        raise unknown_class(name, values, column)
    of_class = partial(Region, values[name.lower()], row=row)
    if "rle" in value:
        return of_class(fill=partial(_brush_pixels, value["rle"]))
    if "imageDataURL" in value:
        return of_class(fill=partial(_bitmask_pixels, value["imageDataURL"]))
    if "points" in value:
        return of_class(fill=partial(_polygon_pixels, value["points"]))
    if "radiusX" in value:
        return of_class(fill=partial(_ellipse_pixels, value))
    if kind in _BOXES:
        return of_class(fill=partial(_box_pixels, value))
    reason = "neither brush stroke, bitmask, polygon nor ellipse"
    raise BadEntry(column, name, reason, "draw it with one of the four")


def _unread(kind: str) -> BadEntry:
    column = f"{_RESULT}.type"
    if kind in _DRAWN:
        return BadEntry(column, kind, "a region without a class", "give it one class")
    return BadEntry(
        column,
        kind,
        f"not read here; regions may be {', '.join(REGIONS)}, answers {', '.join(_ANSWERS)}",
        "draw it with the brush, as a polygon or as an ellipse",
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


def _ellipse_pixels(value: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels inside an ellipse, turned clockwise about its centre; lengths are percentages."""
    x, y, across, down = _numbers(value, ("x", "y", "radiusX", "radiusY"), height, width)
    if across <= 0 or down <= 0:
        raise BadEntry(f"{_RESULT}.value.radiusX", None, "an ellipse without area", "draw it again")
    turned = math.radians(_rotation(value))
    ys, xs = np.mgrid[:height, :width] + 0.5
    along = (xs - x) * math.cos(turned) + (ys - y) * math.sin(turned)
    beside = (ys - y) * math.cos(turned) - (xs - x) * math.sin(turned)
    inside: NDArray[np.bool_] = (along / across) ** 2 + (beside / down) ** 2 <= 1
    return inside


def _box_pixels(value: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels inside a box, turned clockwise about its upper left corner."""
    x, y, across, down = _numbers(value, ("x", "y", "width", "height"), height, width)
    turned = math.radians(_rotation(value))
    corners = np.array([(0, 0), (across, 0), (across, down), (0, down)])
    cos, sin = math.cos(turned), math.sin(turned)
    points = corners @ np.array([(cos, sin), (-sin, cos)]) + (x, y)
    return fill_polygon(points, height=height, width=width)


def _numbers(
    value: Mapping[str, Any], keys: Sequence[str], height: int, width: int
) -> tuple[float, ...]:
    """Lengths across and down by turns, from percentages of the image's sides to pixels."""
    sides = (width / 100, height / 100, width / 100, height / 100)
    named = zip(keys, sides, strict=True)
    return tuple(as_number(value.get(key), f"{_RESULT}.value.{key}") * side for key, side in named)


def _rotation(value: Mapping[str, Any]) -> float:
    """Degrees, clockwise."""
    return as_number(value.get("rotation") or 0, f"{_RESULT}.value.rotation")


def _bitmask_pixels(url: Any, height: int, width: int) -> NDArray[np.bool_]:
    """The drawn pixels of a bitmask: a PNG in a data URL, transparent where nothing is drawn."""
    column, fix = f"{_RESULT}.value.imageDataURL", "draw the region again"
    try:
        data = base64.b64decode(as_text(url, column).partition(",")[2], validate=True)
        header = read_header(data)
        if (header.height, header.width) != (height, width):
            reason = f"the bitmask has {header.width}×{header.height} pixels, the image {width}×"
            raise BadEntry(column, None, f"{reason}{height}", fix)
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except (binascii.Error, Undecodable, cv2.error) as error:
        raise BadEntry(column, None, f"the bitmask is no image ({error})", fix) from error
    if pixels is None:
        raise BadEntry(column, None, "the bitmask is no image", fix)
    if pixels.ndim == 3:
        pixels = pixels[..., 3] if pixels.shape[2] == 4 else pixels.max(axis=2)
    drawn: NDArray[np.bool_] = pixels > 0
    return drawn
