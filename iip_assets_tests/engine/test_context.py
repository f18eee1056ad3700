"""How far long work is, in lines for a log."""

from __future__ import annotations

import itertools

import pytest

from iip_assets.engine import context
from iip_assets.engine.context import how_far, in_time, track


def tick_seconds(monkeypatch: pytest.MonkeyPatch, each: float) -> None:
    """Every look at the clock is so many seconds after the one before."""
    times = itertools.count()
    monkeypatch.setattr(context.time, "monotonic", lambda: each * next(times))


def test_long_work_says_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tick_seconds(monkeypatch, 10)
    told: list[str] = []
    items = list(track(range(5), total=5, label="reading images", log=told.append))
    assert items == [0, 1, 2, 3, 4]
    assert told == [
        "reading images: 1 of 5 (0.1/s, 80 s left)",
        "reading images: 3 of 5 (0.1/s, 27 s left)",
    ]


def test_short_work_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    tick_seconds(monkeypatch, 1)
    told: list[str] = []
    assert len(list(track(range(5), total=None, label="reading", log=told.append))) == 5
    assert told == []


@pytest.mark.parametrize(
    ("done", "total", "seconds", "words"),
    [
        (30, 100, 10.0, "30 of 100 (3.0/s, 23 s left)"),
        (30, None, 10.0, "30 (3.0/s)"),
        (0, 100, 15.0, "0 of 100 (0.0/s)"),
        (1, 3600, 10.0, "1 of 3600 (0.1/s, 10.0 h left)"),
    ],
    ids=["a rate", "no end known", "nothing done", "hours"],
)
def test_what_is_left_is_told_in_time(
    done: int, total: int | None, seconds: float, words: str
) -> None:
    assert how_far(done, total, seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_a_time_is_told_in_its_unit(seconds: float, words: str) -> None:
    assert in_time(seconds) == words
