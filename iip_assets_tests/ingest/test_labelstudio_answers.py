"""Of several people's answers about one image those count that were meant to."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations

import pytest

from iip_assets.ingest.formats.labelstudio_answers import Answer, moment_of, review_of, what_counts
from iip_assets_tests.ingest.tool_exports import (
    studio_annotation,
    studio_batch,
    studio_choice,
    studio_region,
    studio_task,
    write_image,
)

ACCEPTED = [{"accepted": True, "created_at": "2026-02-01T00:00:00Z"}]
REJECTED = [{"accepted": False, "created_at": "2026-02-02T00:00:00Z"}]
BOX = [[12.5, 20], [62.5, 20], [62.5, 80], [12.5, 80]]


def said(label: str | None, by: str, at: int | None = 1, **changes) -> dict:
    """An annotation of a day in January."""
    results = [] if label is None else [studio_choice(label)]
    when = None if at is None else f"2026-01-{at:02}T00:00:00.000000Z"
    return studio_annotation(
        *results, by={"email": by}, **{"updated_at": when, "created_at": when, **changes}
    )


def converted(root, *tasks):
    """The batch made of tasks about a.png, b.png…, and what was logged."""
    for number in range(len(tasks)):
        write_image(root / "export", f"{'abc'[number]}.png", seed=number)
    return studio_batch(
        root, [studio_task(n + 1, f"{'abc'[n]}.png", *answers) for n, answers in enumerate(tasks)]
    )


@pytest.mark.parametrize(
    ("answers", "label", "labeler"),
    [
        ([said("full", "ann", 1), said("none", "bob", 2, ground_truth=True)], "none", "bob"),
        ([said("none", "bob", 1, ground_truth=True), said("full", "ann", 2)], "none", "bob"),
        (
            [
                said("none", "bob", 1, ground_truth=True),
                said("full", "ann", 2, reviews=ACCEPTED),
                said("full", "cat", 3),
            ],
            "none",
            "bob",
        ),
        ([said("full", "ann", 3), said("none", "bob", 1, reviews=ACCEPTED)], "none", "bob"),
        ([said("full", "ann", 3, reviews=REJECTED), said("none", "bob", 1)], "none", "bob"),
        (
            [said("full", "ann", 3, reviews=REJECTED + ACCEPTED), said("none", "bob", 1)],
            "none",
            "bob",
        ),
        ([said("full", "10", 9), said("none", "9", 1), said("none", "8", 2)], "none", "8"),
        # Of one person the newest answer has a vote, the others none.
        (
            [
                *(said("full", "ann", day) for day in (1, 2)),
                *(said("none", "ann", 3), said("none", "bob", 1), said("full", "cat", 9)),
            ],
            "none",
            "ann",
        ),
        ([said("full", "ann", 1), said("none", "bob", 2)], "none", "bob"),
        ([said("none", "zoe", 2), said("full", "ann", 1)], "none", "zoe"),
        ([said("full", "ann", None), said("none", "bob", None)], "none", "bob"),
        ([said("none", "bob", 1), said("full", "ann", None)], "none", "bob"),
        ([said(None, "ann", 9), said("none", "bob", 1)], "none", "bob"),
        ([said("full", "ann", 1, reviews=REJECTED)], None, None),
    ],
    ids=[
        "ground truth",
        "ground truth before the newest",
        "ground truth before review and majority",
        "accepted review",
        "rejected review",
        "the newest review",
        "majority",
        "majority of newest answers",
        "the newest",
        "the newest comes first",
        "the last where no time is known",
        "a time before none",
        "an answer before none",
        "all rejected",
    ],
)
def test_who_counts(tmp_path, answers, label, labeler):
    found, _ = converted(tmp_path, answers)
    assert [(row.label, row.labeler) for row in found.parsed.rows] == [(label, labeler)]


def test_all_answers_stand_in_annotations_csv_and_a_line_says_who_counted(tmp_path):
    found, log = converted(
        tmp_path,
        [said("full", "ann", 1), said("none", "bob", 9, ground_truth=True)],
        [said("full", "ann", 1), said("none", "bob", 2), said("none", "cat", 3)],
        [said("full", "ann", 1), said("full", "bob", 2)],
    )
    assert sorted((row.labeler, row.label, row.labeled_at.day) for row in found.opinions.rows) == [
        *[("ann", "full", 1)] * 3,
        ("bob", "full", 2),
        ("bob", "none", 2),
        ("bob", "none", 9),
        ("cat", "none", 3),
    ]
    assert log == [
        "people disagree on 2 of the 3 images that several labelled; what counts: the ground "
        "truth for 1, the majority for 1; every answer is in annotations.csv"
    ]


def test_each_of_several_answers_without_a_name_is_a_persons_own(tmp_path):
    texts = [said("full", "", 2), said("none", "", 1), said("full", "ann", 3)]
    for text in texts[:2]:
        text["completed_by"] = None
    found, log = converted(tmp_path, texts, texts[:1])
    assert [(row.label, row.labeler) for row in found.parsed.rows] == [
        ("full", "ann"),
        ("full", None),
    ]
    assert sorted((row.labeler, row.label) for row in found.opinions.rows) == [
        ("ann", "full"),
        ("unnamed 1", "full"),
        ("unnamed 2", "none"),
    ]
    assert "the majority for 1" in log[0]


@pytest.mark.parametrize(("at", "rule"), [(1, "the newest answer"), (None, "the last answer of")])
def test_who_is_last_where_no_time_is_told_is_not_called_the_newest(tmp_path, at, rule):
    _, log = converted(tmp_path, [said("full", "ann", at), said("none", "bob", at)])
    assert f"what counts: {rule}" in log[0]


def test_images_of_which_no_answer_is_used_are_counted(tmp_path):
    sketch = {"result": [studio_choice("full")]}
    tasks = [
        {"id": 1, "data": {"image": "a.png"}, "annotations": [], "drafts": [sketch]},
        {"id": 2, "data": {"image": "b.png"}, "predictions": [sketch]},
        studio_task(3, "c.png", said("full", "ann", was_cancelled=True)),
        studio_task(4, "d.png", said("full", "ann"), said("full", "bob", was_cancelled=True)),
    ]
    for seed, name in enumerate("abcd"):
        write_image(tmp_path / "export", f"{name}.png", seed=seed)
    found, log = studio_batch(tmp_path, tasks)
    assert [row.label for row in found.parsed.rows].count(None) == 3
    assert [line[-4:] for line in log if "of images that have no other" in line] == [" (3)"]


def test_one_persons_work_needs_no_annotations(tmp_path):
    found, log = converted(tmp_path, [said("full", "ann")], [said("none", "bob")])
    assert [row.label for row in found.parsed.rows] == ["full", "none"]
    assert not (tmp_path / "out" / "annotations.csv").exists()
    assert log == []


def test_the_mask_is_of_who_counts_or_the_newest_and_is_painted_once(tmp_path):
    polygon = studio_region("polygonlabels", "iris", points=BOX)
    with_mask, newer = said("full", "ann", 1), said("none", "bob", 2)
    with_mask["result"].append(polygon)
    found, _ = converted(tmp_path, [with_mask, newer])
    (row,) = found.parsed.rows
    assert (row.label, row.mask_path) == ("none", "masks/a.png")
    assert [one.mask_path for one in found.opinions.rows] == ["masks/a.png", None]


def test_a_persons_newer_answer_about_the_label_takes_no_mask_away(tmp_path):
    drawn = said("full", "ann", 1)
    drawn["result"].append(studio_region("polygonlabels", "iris", points=BOX))
    answers = [drawn, said("none", "ann", 2), said("none", "bob", 3)]
    found, _ = converted(tmp_path, answers)
    assert [(row.labeler, row.label, row.mask_path) for row in found.opinions.rows] == [
        ("ann", "none", "masks/a.png"),
        ("bob", "none", None),
    ]


def test_what_others_answered_beside_the_label_is_kept(tmp_path):
    other = said("none", "bob", 1)
    other["result"].append(studio_choice("left", "eye"))
    found, _ = converted(tmp_path, [other, said("full", "ann", 2)])
    assert [(row.label, row.eye) for row in found.parsed.rows] == [("full", "left")]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-01-01T09:00:00Z", "2026-01-01T10:30:00+01:00"),
        ("2026-01-01T09:00:00Z", "2026-01-01T09:00:00.000001Z"),
        ("2026-01-01T09:00:00.9Z", "2026-01-01T09:00:01Z"),
        ("2026-01-01T09:00:00", "2026-01-01 09:00:01"),
        ("2026-01-01T23:00:00-02:00", "2026-01-02T02:00:00Z"),
        ("2026-01-01", "2026-01-01T00:00:01Z"),
    ],
)
def test_times_are_compared_as_times(earlier, later):
    first, second = (moment_of({"updated_at": text}) for text in (earlier, later))
    assert first < second


@pytest.mark.parametrize("odd", [None, "", "3 hours", 1767225600, "2026-13-01", []])
def test_what_is_no_time_is_not_known(odd):
    assert moment_of({"updated_at": odd}) is None
    assert moment_of({"updated_at": odd, "created_at": "2026-01-02"}) == datetime(2026, 1, 2)


@pytest.mark.parametrize("odd", [None, [], {}, [5], [{}], [{"accepted": None}]])
def test_what_is_no_review_says_nothing(odd):
    assert review_of({"reviews": odd}) is None


def test_the_order_in_the_export_does_not_matter_where_times_are_known():
    answers = [
        Answer("ann", datetime(2026, 1, 1), cells={"label": "full"}),
        Answer("ann", datetime(2026, 1, 4), cells={"label": "none"}),
        Answer("bob", datetime(2026, 1, 2), cells={"label": "none"}),
        Answer("cat", datetime(2026, 1, 3), cells={"label": "full"}),
    ]
    found = {what_counts(order).cells["labeler"] for order in permutations(answers)}
    assert found == {"ann"}
