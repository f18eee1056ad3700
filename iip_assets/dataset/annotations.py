"""One batch's annotations.csv: each labeler's own word on an image, beside the label that counts.

Several people may label one image, each without seeing what the others said. How they agree is the
level that a model can be held against. Like `labels`, this never raises on what is in the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from iip_assets.dataset.csv_file import Fault, Record, read_csv
from iip_assets.dataset.labels import (
    LabelFile,
    LabelRow,
    Listing,
    folded,
    named_file,
    problem_of,
)
from iip_assets.dataset.schema import (
    LABELS,
    BadCell,
    is_unknown,
    parse_text,
    parse_time,
    parse_word,
)

_SAID = ("label", "mask_id")


def parse_annotations(data: bytes, *, batch: str, file: str, listing: Listing) -> LabelFile:
    """Read an annotations.csv: columns image, labeler, label, mask, labeled_at.

    Of several rows of one image and labeler the newest counts. Where they differ and their times do
    not tell which that is, none is used. Further columns are not read.

    Args:
        data: The bytes of the file.
        batch: The batch's name.
        file: The file's path, for the problems.
        listing: The files that the rows may name.

    Returns:
        One row per image and labeler, sorted by both, with label, mask or both; no tags.
    """
    table = read_csv(data, required=("image", "labeler"))
    faults = list(table.faults)
    by_folded = {folded(path): path for path in listing.files}
    told: dict[tuple[str, str], list[LabelRow]] = {}
    for record in table.records:
        row = _read_row(record, listing, by_folded)
        if isinstance(row, LabelRow):
            told.setdefault((row.image_id, row.labeler or ""), []).append(row)
        else:
            faults.extend(row)
    named = {record.row: record.cells["image"] for record in table.records}
    rows: list[LabelRow] = []
    for key in sorted(told):
        one = _newest(told[key])
        if one is None:
            faults.extend(_contradictions(told[key], named))
        else:
            rows.append(one)
    return LabelFile(tuple(rows), tuple(problem_of(fault, batch, file) for fault in faults), {})


def _read_row(
    record: Record, listing: Listing, by_folded: Mapping[str, str]
) -> LabelRow | list[Fault]:
    """The row, or all that is wrong with it."""
    faults: list[Fault] = []

    def read(column: str, parse: Callable[[str], Any], *, always: bool = False) -> Any:
        text = record.cells.get(column, "")
        if not (text or always):
            return None
        try:
            return parse(text)
        except BadCell as bad:
            faults.append(Fault(record.row, column, text, bad.reason, bad.fix))
            return None

    def file_of(text: str, *, image: bool) -> tuple[str | None, str]:
        return named_file(text, listing, by_folded, image=image)

    image = read("image", lambda text: file_of(text, image=True), always=True)
    labeler = read("labeler", _labeler, always=True)
    label = read("label", lambda text: parse_word(text, LABELS))
    mask = read("mask", lambda text: file_of(text, image=False))
    labeled_at = read("labeled_at", parse_time)
    if not faults and label is None and mask is None:
        reason, fix = "neither a label nor a mask", "write what the labeler said, or delete the row"
        faults.append(Fault(record.row, "label", "", reason, fix))
    if faults:
        return faults
    mask_path, mask_id = mask or (None, None)
    return LabelRow(
        record.row,
        image[1],
        label=label,
        mask_id=mask_id,
        mask_path=mask_path,
        labeler=labeler,
        labeled_at=labeled_at,
    )


def _labeler(text: str) -> str:
    if is_unknown(text):
        raise BadCell(
            "no labeler is named",
            "write who it was (any name that stands for one person), or delete the row",
        )
    return parse_text(text)


def _newest(rows: Sequence[LabelRow]) -> LabelRow | None:
    """What one labeler says of an image by now; None where rows differ and no time tells."""
    times = {row.labeled_at for row in rows}
    if _differing(rows) and (None in times or len(times) < len(rows)):
        return None
    # Where nothing differs any order will do.
    in_time = sorted(rows, key=lambda row: (row.labeled_at is not None, row.labeled_at, row.row))
    found = in_time[0]
    for row in in_time[1:]:
        found = replace(
            row,
            row=found.row,
            label=row.label or found.label,
            mask_id=row.mask_id or found.mask_id,
            mask_path=row.mask_path if row.mask_id else found.mask_path,
        )
    return found


def _differing(rows: Sequence[LabelRow]) -> list[str]:
    return [
        name
        for name in _SAID
        if len({getattr(row, name) for row in rows if getattr(row, name) is not None}) > 1
    ]


def _contradictions(rows: Sequence[LabelRow], named: Mapping[int, str]) -> list[Fault]:
    numbers = ", ".join(str(row.row) for row in rows)
    differing = ", ".join(name.removesuffix("_id") for name in _differing(rows))
    return [
        Fault(
            row.row,
            "image",
            named[row.row],
            f"rows {numbers} name the same image and labeler and differ in {differing}",
            "write into labeled_at when each was given, or keep one; none of them is used",
        )
        for row in rows
    ]
