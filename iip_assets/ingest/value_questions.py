"""Values of a batch that are read well and may yet not be meant: whoever wrote them is asked.

A word that is another spelling of one in use would be a slice of its own, and nobody would see why
its numbers are odd. A time before digital cameras, or to come, is a clock that was not set. What
the data holds already is never judged here: a batch is, while its maker is at hand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from iip_assets.dataset.labels import READERS, LabelRow
from iip_assets.dataset.problems import Problem, shown
from iip_assets.dataset.schema import BadCell, parse_lower_text, parse_text
from iip_assets.dataset.spellings import is_unknown, lacks_digits, spelling_key

WORDS = ("gender", "ethnicity", "geography", "device", "labeler")
_SUBJECT = "subject_id"
_TIMES = ("captured_at", "labeled_at")
_LOWER = frozenset(("gender", "ethnicity"))

# The first patent on recognising people by the iris is of 1987 (Flom and Safir), the clocks of
# files begin on 1980-01-01 and those of navigation satellites on 1980-01-06.
_FIRST_TIME = datetime(1980, 1, 7)
# Of a time without a zone, on the islands that have each day first.
_FURTHEST_AHEAD = timedelta(hours=14)
_NO_TIME = "write when it was, or empty the cell where that is not known"

# Subjects that one line of the log names.
_MOST_NAMED = 5

InUse = Mapping[str, Mapping[str, int]]
"""The values of each column, with how many rows say so."""
Rows = Sequence[tuple[str, LabelRow]]
"""Rows with the file that each stands in."""
Vocabulary = Mapping[Any, Mapping[str, Sequence[str]]]
"""Column to word to other words for it (`ingest.vocabulary`)."""


def values_in_use(
    batches: Mapping[str, Mapping[str, str]],
    read: Callable[[str], bytes],
    fetch: Callable[[Sequence[str]], None] = lambda _: None,
) -> dict[str, Counter[str]]:
    """What the rows of the data's batches (name to path to md5) say in the columns asked about.

    Raises:
        MissingData: A file of rows cannot be had.
    """
    found = {column: Counter[str]() for column in (*WORDS, _SUBJECT)}
    tables = [files[name] for files in batches.values() for name in READERS if name in files]
    fetch(tables)
    for md5 in tables:
        try:
            # Many times as fast as row by row, and what is not read well asks no question.
            table = pl.read_csv(read(md5), infer_schema=False, truncate_ragged_lines=True)
        except pl.exceptions.PolarsError:
            continue
        for name in table.columns:
            column = name.removeprefix("\ufeff").strip().lower()
            if column in found:
                told = table[name].drop_nulls().str.strip_chars().value_counts()
                for text, count in told.iter_rows():
                    if not is_unknown(text):
                        found[column][_as_read(column, text)] += count
    return found


def _as_read(column: str, text: str) -> str:
    try:
        return parse_lower_text(text) if column in _LOWER else parse_text(text)
    except BadCell:
        return text


def questions(
    batch: str, rows: Rows, *, in_use: InUse, vocabulary: Vocabulary, now: datetime | None = None
) -> list[Problem]:
    """Why the batch comes back: its words and times that may not be meant, each value once.

    `now` is in UTC, without a zone; this machine's clock where it is not given.
    """
    latest = (now or datetime.now(UTC).replace(tzinfo=None)) + _FURTHEST_AHEAD
    found: list[Problem] = []
    for column in WORDS:
        words = vocabulary.get(column, {})
        meant = _Words(in_use.get(column, {}), {_as_read(column, one): words[one] for one in words})
        for value, (file, row, count) in _distinct(rows, column).items():
            if (word := meant.by(value)) != value:
                own = f"[ingest.vocabulary] {column} = {{ {json.dumps(value)} = [] }}"
                fix = f"write {shown(word)}; or, where both are meant, have in iip.toml: {own}"
                reason = f"another spelling of, or word for, {shown(word)}{_in_rows(count)}"
                found.append(Problem(batch, file, reason, fix, row, column, shown(value)))
    for value, (file, row, count) in _distinct(rows, _SUBJECT).items():
        if lacks_digits(value):
            reason = (
                "a number that a spreadsheet rounded: the digits that are gone may have told "
                f"several people apart{_in_rows(count)}"
            )
            fix = "write the ids in full; format the column as text before they are put in"
            found.append(Problem(batch, file, reason, fix, row, _SUBJECT, shown(value)))
    for column in _TIMES:
        for value, (file, row, count) in _distinct(rows, column).items():
            if (fault := _time_fault(value, latest)) is not None:
                reason = fault + _in_rows(count)
                found.append(Problem(batch, file, reason, _NO_TIME, row, column, str(value)))
    return found


def respelled_subjects(rows: Rows, in_use: InUse) -> str | None:
    """A line on subjects that may be one person in two spellings; None where there are none."""
    meant = _Words(in_use.get(_SUBJECT, {}), {})
    pairs = [
        (subject, first)
        for subject in _distinct(rows, _SUBJECT)
        if (first := meant.by(subject)) != subject
    ]
    if not pairs:
        return None
    named = ", ".join(f"{shown(new)} and {shown(old)}" for new, old in pairs[:_MOST_NAMED])
    more = f" and {len(pairs) - _MOST_NAMED} more" if len(pairs) > _MOST_NAMED else ""
    return (
        f"subject_id: may these be one person each? {named}{more}. They stand on one side of the "
        "splits, but count as two; where they are one, write one spelling"
    )


class _Words:
    """The words of a column that need no question, and the word that each spelling may mean."""

    def __init__(self, in_use: Mapping[str, int], vocabulary: Mapping[str, Sequence[str]]) -> None:
        self._right = {*in_use, *vocabulary}
        # What comes later counts: the data's commonest spelling, and above all the vocabulary.
        self._by_key = {spelling_key(word): word for word in sorted(in_use, key=in_use.__getitem__)}
        for word, synonyms in vocabulary.items():
            self._by_key |= {spelling_key(one): word for one in (*synonyms, word)}

    def by(self, value: str) -> str:
        """The word that a value means; a new one is in use from here on."""
        if value in self._right:
            return value
        return self._by_key.setdefault(spelling_key(value), value)


def _distinct(rows: Rows, column: str) -> dict[Any, tuple[str, int, int]]:
    """Each value of a column, the commonest first: file and row of the first that has it, count."""
    found: dict[Any, tuple[str, int, int]] = {}
    for file, row in rows:
        if (value := getattr(row, column)) is not None:
            first, number, count = found.get(value, (file, row.row, 0))
            found[value] = (first, min(number, row.row), count + 1)
    return dict(sorted(found.items(), key=lambda one: (-one[1][2], one[1][:2])))


def _in_rows(count: int) -> str:
    return f", in {count} rows" if count > 1 else ""


def _time_fault(moment: datetime, latest: datetime) -> str | None:
    if moment > latest:
        return f"later than now, which is {latest:%Y-%m-%d %H:%M} at most anywhere on earth"
    if moment < _FIRST_TIME:
        return (
            "older than any digital image of an iris: a clock that was not set, or a number taken "
            "for a time"
        )
    return None
