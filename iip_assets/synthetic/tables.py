"""The rows of labels.csv and truth.csv for one image."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from iip_assets.synthetic.effects import MaskError
from iip_assets.synthetic.plan import Dataset, PlannedImage
from iip_assets.synthetic.render import Rendered

LABEL_COLUMNS = (
    "image",
    "label",
    "mask",
    "subject_id",
    "eye",
    "age_years",
    "gender",
    "ethnicity",
    "geography",
    "device",
    "captured_at",
)
Row = dict[str, str]


def image_path(index: int) -> str:
    """Where the image lies in its batch."""
    return f"images/{index:06d}.jpg"


def mask_path(index: int) -> str:
    """Where its mask lies in its batch."""
    return f"masks/{index:06d}.png"


def label_row(planned: PlannedImage, label: str, *, masked: bool) -> Row:
    """The row of labels.csv: what a data team would know."""
    subject = planned.subject
    age = subject.written_age_years
    return {
        "image": image_path(planned.index),
        "label": label,
        "mask": mask_path(planned.index) if masked else "",
        "subject_id": subject.subject_id,
        "eye": planned.shot.side,
        "age_years": "" if age is None else str(age),
        "gender": subject.written_gender,
        "ethnicity": subject.written_ethnicity,
        "geography": subject.written_geography,
        "device": planned.device,
        "captured_at": planned.captured_at.isoformat(),
    }


def truth_row(
    dataset: Dataset,
    planned: PlannedImage,
    rendered: Rendered,
    *,
    written: str,
    mask_error: MaskError | None,
) -> Row:
    """The row of truth.csv: what only the renderer knows, parameters in `group.name` columns."""
    return {
        "image": image_path(planned.index),
        "batch": dataset.batch_name(planned.batch),
        "label": rendered.label,
        "written_label": written,
        "fate": planned.fate,
        "mask_error": mask_error or "",
        "rare_mode": planned.rare_mode or "",
        "rare_group": _text(planned.subject.heritage == dataset.effects.rare_group),
        "drifted": _text(dataset.drifts(planned.batch)),
        "same_as": _path_of(dataset, planned.same_as),
        "nearly_as": _path_of(dataset, planned.nearly_as),
        "shot": planned.shot.kind,
        "iris_share": _text(rendered.iris_share),
        "subject_id": planned.subject.subject_id,
        "ethnicity": planned.subject.heritage,
        "age_years": str(planned.subject.age_years),
        **_flat(planned.shot.parameters),
    }


def _path_of(dataset: Dataset, index: int | None) -> str:
    if index is None:
        return ""
    return f"{dataset.batch_name(dataset.batch_of(index))}/{image_path(index)}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, tuple):
        return " ".join(_text(part) for part in value)
    return str(value)


def _flat(value: Any, prefix: str = "") -> Row:
    flat: Row = {}
    for entry in fields(value):
        part = getattr(value, entry.name)
        if is_dataclass(part):
            flat |= _flat(part, f"{prefix}{entry.name}.")
        else:
            flat[f"{prefix}{entry.name}"] = _text(part)
    return flat


def csv_text(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """The rows as CSV with a header and one kind of line end on every system."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
