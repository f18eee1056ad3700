"""What the data may say: its words, the cells of labels.csv, and the table of images."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

TRAINING_LABELS = ("full", "partial", "none")
LABELS = (*TRAINING_LABELS, "unclear")
"""What a labeler may say of an image; `unclear` is counted and discussed, never trained on."""

EYES = ("left", "right")

FACTS = (
    "subject_id",
    "eye",
    "age_years",
    "gender",
    "ethnicity",
    "geography",
    "device",
    "captured_at",
)
"""What is known of an image besides its label. What a newer row says replaces what an older one
said; what it leaves empty does not."""

SPLITS = ("train", "calibration", "validation", "test")
CHALLENGE = "challenge"
"""The split of challenge sets, which takes no share: nothing is trained, chosen or tested on it."""

UNKNOWN = "unknown"
"""The slice of what is not known. In labels.csv the word means the same as an empty cell."""

LABELS_FILE = "labels.csv"
ANNOTATIONS_FILE = "annotations.csv"
LABELING_FILE = "LABELING.md"
BATCHES_FOLDER = "batches"
MASKS_FOLDER = "masks"

IMAGE_SUFFIXES = (
    *(".bmp", ".heic", ".heif", ".j2k", ".jfif", ".jp2", ".jpeg", ".jpg", ".png", ".tif", ".tiff"),
    ".webp",
)


OLDEST_YEARS = 120.0
"""No one is known to have been older than 122; above this an age is taken for a slip."""

_LONGEST_TEXT = 200
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")
_DRIVE = re.compile(r"[A-Za-z]:")

_MD5 = r"^[0-9a-f]{32}$"


class BadCell(ValueError):
    """A cell or a file that says nothing usable: the reason, and what to write instead."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


def parse_word(text: str, words: Sequence[str]) -> str:
    """One of a closed list of words, whatever its case."""
    word = text.lower()
    if word not in words:
        fix = f"write one of {', '.join(words)}, or nothing when not known"
        raise BadCell("not a word that is known here", fix)
    return word


def parse_text(text: str) -> str:
    """Free text in one form of Unicode, with single spaces and no control characters."""
    _refuse_control_characters(text)
    if len(text) > _LONGEST_TEXT:
        raise BadCell(f"{len(text)} characters, at most {_LONGEST_TEXT} fit", "shorten the text")
    return " ".join(unicodedata.normalize("NFC", text).split())


def parse_lower_text(text: str) -> str:
    """Free text in lower case, so that `Female` and `female` are one slice."""
    return parse_text(text).lower()


def parse_age(text: str) -> float:
    """An age in years, 0 to 120."""
    fix = "write the age in years as a number such as 34 or 0.5, or nothing when not known"
    if not _NUMBER.fullmatch(text):
        raise BadCell("not a number", fix)
    age = float(text)
    if not math.isfinite(age) or not 0 <= age <= OLDEST_YEARS:
        raise BadCell(f"not an age between 0 and {OLDEST_YEARS:g} years", fix)
    return age + 0.0  # "-0" is 0


def parse_time(text: str) -> datetime:
    """An ISO 8601 date or date and time; a time with a zone is brought to UTC."""
    fix = "write it as 2026-11-23 or 2026-11-23T14:05:00, or nothing when not known"
    if not _DATE.fullmatch(text):
        raise BadCell("not a date of the form year-month-day", fix)
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise BadCell(f"no such day or time ({error})", fix) from error
    return moment


def parse_path(text: str) -> str:
    """A path inside the batch, with forward slashes and without dots."""
    _refuse_control_characters(text)
    slashed = text.replace("\\", "/")
    if slashed.startswith("/") or _DRIVE.match(slashed):
        raise BadCell("an absolute path", "write the path from the batch's folder: images/…")
    if slashed != text:
        raise BadCell("a path with backslashes", f"write {slashed}")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise BadCell("a path that leaves the batch's folder", "put the file into the batch")
    return "/".join(parts)


def _refuse_control_characters(text: str) -> None:
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs"):
            raise BadCell(f"it holds the control character {char!r}", "delete that character")


def images_schema() -> dict[str, Any]:
    """Columns and types of the table of images."""
    import polars as pl

    first = ("image_id", "path", "batch", "label", "mask_id", "mask_path")
    others = {"age_years": pl.Float64, "captured_at": pl.Datetime("us")}
    return {name: others.get(name, pl.Utf8) for name in (*first, *FACTS, "labeler", "tags")}


def label_rows_schema() -> dict[str, Any]:
    """Columns and types of the table of label rows."""
    import polars as pl

    first = ("image_id", "batch", "labeler", "label", "mask_id", "subject_id")
    others = {"labeled_at": pl.Datetime("us"), "current": pl.Boolean}
    return {**dict.fromkeys((*first, "labeling_md5", "file"), pl.Utf8), **others}


def schema_failures(images: pl.DataFrame) -> list[str]:
    """What in a table of images breaks its schema, in words; empty when nothing does.

    Ids are md5s and stand once, in order; labels and eyes are known words, ages are 0 to 120; a
    mask's id and path come together.
    """
    import pandera.polars as pa
    import polars as pl

    checks: dict[str, list[Any]] = {
        "image_id": [pa.Check.str_matches(_MD5)],
        "mask_id": [pa.Check.str_matches(_MD5)],
        "label": [pa.Check.isin(LABELS)],
        "eye": [pa.Check.isin(EYES)],
        "age_years": [pa.Check.in_range(0, OLDEST_YEARS)],
    }
    schema = pa.DataFrameSchema(
        {
            name: pa.Column(
                dtype,
                checks=checks.get(name),
                nullable=name not in ("image_id", "path"),
                unique=name == "image_id",
            )
            for name, dtype in images_schema().items()
        },
        strict=True,
        ordered=True,
    )
    failures: list[str] = []
    try:
        schema.validate(images, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        counted = cases.group_by("column", "check", maintain_order=True).agg(
            pl.len().alias("n"), pl.col("failure_case").first()
        )
        failures += [
            f"{case['column']}: {case['check']} fails {case['n']} times (first: "
            f"{case['failure_case']})"
            for case in counted.iter_rows(named=True)
        ]
    if {"mask_id", "mask_path"} <= set(images.columns):
        halves = images.filter(pl.col("mask_id").is_null() != pl.col("mask_path").is_null()).height
        if halves:
            failures.append(f"mask_id: {halves} rows have only one of mask_id and mask_path")
    if "image_id" in images.columns and not images["image_id"].is_sorted():
        failures.append("image_id: not sorted")
    return failures
