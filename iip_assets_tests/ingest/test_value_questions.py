"""What may not be meant is asked about, once a value; what is in use, or was answered, is not."""

from datetime import UTC, datetime, timedelta

import pytest

from iip_assets.dataset.labels import LabelRow
from iip_assets.dataset.problems import shown
from iip_assets.ingest.value_questions import questions, respelled_subjects, values_in_use
from iip_assets.settings import IngestSettings
from iip_assets_tests.dataset.team_workspace import drop, take
from iip_assets_tests.ingest.test_ingest import words_of

NOW = datetime(2026, 11, 30, 12)
VOCABULARY = IngestSettings().vocabulary


def asked(column: str, *values, in_use=(), vocabulary=VOCABULARY):
    rows = [
        ("labels.csv", LabelRow(number, "a" * 32, **{column: value}))
        for number, value in enumerate(values, start=1)
    ]
    counted = {column: dict.fromkeys(in_use, 1)}
    return questions("b", rows, in_use=counted, vocabulary=vocabulary, now=NOW)


@pytest.mark.parametrize(
    ("column", "value", "in_use", "meant"),
    [
        ("gender", "f", [], "female"),
        ("gender", "m", ["male"], "male"),
        ("gender", "fe-male", ["diverse"], None),
        ("gender", "non binary", ["non-binary"], "non-binary"),
        ("geography", "de", ["DE"], "DE"),
        ("device", "Phone_X", ["Phone X"], "Phone X"),
        ("labeler", "ANN", ["Ann"], "Ann"),
        ("ethnicity", "east asian", ["east_asian"], "east_asian"),
        ("device", "Phone Y", ["Phone X"], None),
        ("gender", "diverse", [], None),
        ("gender", "f", ["f", "m"], None),
        ("gender", "diverse\u200b", ["diverse"], "diverse"),
    ],
)
def test_another_word_for_one_in_use_is_asked_about(column, value, in_use, meant):
    found = asked(column, value, value, in_use=in_use)
    if meant is None:
        assert not found
        return
    (question,) = found
    assert (question.row, question.column, question.value) == (1, column, shown(value))
    assert meant in question.reason
    assert "in 2 rows" in question.reason
    assert f"write {meant}" in question.fix
    answer = {column: {value: (), meant: ()}}
    assert not asked(column, value, in_use=in_use, vocabulary=answer)


def test_within_a_batch_the_commonest_spelling_asks_about_the_others():
    (question,) = asked("geography", "de", "DE", "DE", "KE")
    assert (question.row, question.value) == (1, "de")


@pytest.mark.parametrize("word", ["Female", "FEMALE"])
def test_the_case_of_the_vocabulary_does_not_matter_where_that_of_cells_does_not(word):
    assert not asked("gender", "female", vocabulary={"gender": {word: ("f",)}})
    assert asked("gender", "f", vocabulary={"gender": {word: ("f",)}})


@pytest.mark.parametrize("column", ["captured_at", "labeled_at"])
@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        ("9999-12-31", "later than now"),
        ("2026-12-02", "later than now"),
        ("2026-12-01T02:00:01", "later than now"),
        ("1970-01-01", "not set"),
        ("1970-01-01T09:00:00", "not set"),
        ("1899-12-30", "not set"),
        ("1904-01-01", "not set"),
        ("0001-01-01", "not set"),
        ("1980-01-01T00:00:12", "not set"),
        ("1970-01-21T10:08:20", "not set"),
        ("1975-06-01", "not set"),
        ("1980-01-06T00:00:12", "not set"),
        ("2026-12-01T02:00:00", None),
        ("2026-11-30", None),
        ("1998-05-01", None),
    ],
)
def test_a_time_that_cannot_be_is_asked_about(column, moment, reason):
    found = asked(column, datetime.fromisoformat(moment))
    assert bool(found) == (reason is not None)
    assert all(reason in one.reason and one.fix and one.column == column for one in found)


def test_a_camera_far_in_the_east_is_ahead_of_this_machine():
    now = datetime.now(UTC).replace(tzinfo=None)
    for hours, count in ((13, 0), (15, 1)):
        row = LabelRow(2, "a" * 32, captured_at=now + timedelta(hours=hours))
        assert len(questions("b", [("labels.csv", row)], in_use={}, vocabulary={})) == count


@pytest.mark.parametrize(
    ("subject", "rounded"),
    [
        ("1.23457E+13", True),
        ("1,23457E+13", True),
        ("1e+15", True),
        ("1.7E+01", False),
        ("1.2345678901234e+13", False),
        ("1e5", False),
        ("12E+13", False),
        ("S1E+13", False),
    ],
)
def test_an_id_that_a_spreadsheet_rounded_is_asked_about(subject, rounded):
    found = asked("subject_id", subject, subject)
    assert [(one.row, one.column, one.value) for one in found] == (
        [(1, "subject_id", subject)] if rounded else []
    )
    assert all("several people" in one.reason and "in full" in one.fix for one in found)


def test_a_subject_in_another_spelling_is_told_with_both():
    rows = [("labels.csv", LabelRow(1, "a" * 32, subject_id=one)) for one in ("17.0", "18", "S-1")]
    line = respelled_subjects(rows, {"subject_id": {"17": 3, "18": 1, "S-1": 1, "s1": 2}})
    assert line is not None
    assert "17.0 and 17" in line
    assert "18" not in line
    assert "S-1" not in line
    assert respelled_subjects(rows, {}) is None


def test_the_values_in_use_are_those_of_every_batch_as_they_are_read():
    files = {
        "1": b"image,gender,device\na.jpg,Female,nan\n",
        "2": b"image,labeler,gender\nb.jpg,Ann,FEMALE\n",
        "3": b"\xff\xfe broken",
    }
    batches = {
        "b1": {"labels.csv": "1", "images/a.jpg": "9"},
        "b2": {"annotations.csv": "2", "labels.csv": "3"},
    }
    in_use = values_in_use(batches, files.__getitem__)
    assert {column: dict(found) for column, found in in_use.items() if found} == {
        "gender": {"female": 2},
        "labeler": {"Ann": 1},
    }


def test_a_batch_whose_values_may_not_be_meant_comes_back_with_the_questions(team):
    row = "images/101.png,F,9999-01-01,s-1"
    folder = drop(
        team / "inbox",
        "2026-11-x",
        seeds=(101,),
        labels=f"image,gender,captured_at,subject_id\n{row}\n",
    )
    words = words_of(team, folder, dry_run=True)
    assert "s-1 and s1" in words
    result = take(team, folder)
    assert result.verdict == "rejected"
    assert [problem.column for problem in result.problems] == ["gender", "captured_at"]
