"""What a cell of labels.csv may say. Each function gives the value, or raises `BadCell`."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

from iip_assets.dataset.constants import UNKNOWN

OLDEST_YEARS = 120.0
"""No one is known to have been older than 122; above this an age is taken for a slip."""

_LONGEST_TEXT = 200
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")
_DRIVE = re.compile(r"[A-Za-z]:")


class BadCell(ValueError):
    """A cell that says nothing usable.

    Attributes:
        reason: What is wrong.
        fix: What to write instead.
    """

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.fix = fix


def parse_word(text: str, words: Sequence[str]) -> str:
    """One of a closed list of words, whatever its case."""
    word = text.lower()
    if word not in words:
        raise BadCell(
            "not a word that is known here", f"write one of {', '.join(words)}, or nothing"
        )
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
    if "\\" in text:
        raise BadCell("a path with backslashes", f"write {text.replace(chr(92), '/')}")
    if text.startswith("/") or _DRIVE.match(text):
        raise BadCell("an absolute path", "write the path from the batch's folder: images/…")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or not parts:
        raise BadCell("a path that leaves the batch's folder", "put the file into the batch")
    return "/".join(parts)


def is_unknown(text: str) -> bool:
    """Whether an optional cell says that the value is not known."""
    return not text or text.lower() == UNKNOWN


def _refuse_control_characters(text: str) -> None:
    for char in text:
        if unicodedata.category(char) in ("Cc", "Cs"):
            raise BadCell(f"it holds the control character {char!r}", "delete that character")
