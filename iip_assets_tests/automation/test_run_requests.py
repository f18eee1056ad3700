"""A dropped batch is taken once; what breaks is tried again, up to a number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iip_assets.automation.run_requests import (
    Drop,
    EndedRun,
    IngestRun,
    Marks,
    Outcome,
    RefreshDecision,
    decide_ingests,
    decide_refresh,
    listed,
    reasons,
    runnable,
)
from iip_assets.engine.asset import asset
from iip_assets.engine.graph import Graph
from iip_assets.engine.reasons import Reason
from iip_assets.engine.staleness import State

A = Drop("a", "1")


def runs(*outcomes: Outcome, drop: Drop = A) -> list[IngestRun]:
    return [IngestRun(drop, outcome) for outcome in outcomes]


def keys(waiting: list[Drop], ran: list[IngestRun]) -> list[str]:
    return [one.run_key for one in decide_ingests(waiting, ran, attempts=3).requests]


def test_each_waiting_batch_gets_a_run_of_its_own() -> None:
    assert keys([A, Drop("b", "2")], []) == ["a:1:1", "b:2:1"]


def test_looking_twice_gives_the_same_key() -> None:
    assert keys([A], []) == keys([A], [])


def test_none_while_one_of_that_batch_is_under_way_even_for_an_older_drop() -> None:
    older = runs("under way", drop=Drop("a", "0"))
    assert keys([A, Drop("b", "2")], older) == ["b:2:1"]


@pytest.mark.parametrize(("failures", "expected"), [(1, ["a:1:2"]), (2, ["a:1:3"]), (3, [])])
def test_what_broke_is_tried_again_up_to_a_number(failures: int, expected: list[str]) -> None:
    assert keys([A], runs(*["failed"] * failures)) == expected


def test_after_that_it_is_given_up_until_it_is_dropped_anew() -> None:
    ran = runs("failed", "failed", "failed")
    assert decide_ingests([A], ran, attempts=3).given_up == (A,)
    again = Drop("a", "2")
    decision = decide_ingests([again], ran, attempts=3)
    assert [one.run_key for one in decision.requests] == ["a:2:1"]
    assert decision.given_up == ()


def test_what_a_person_canceled_is_left_alone() -> None:
    decision = decide_ingests([A], runs("canceled"), attempts=3)
    assert (decision.requests, decision.given_up) == ((), ())


def test_a_folder_moved_back_into_the_inbox_is_taken_again_but_not_for_ever() -> None:
    assert keys([A], runs("succeeded")) == ["a:1:2"]
    assert keys([A], runs("succeeded", "succeeded", "succeeded")) == []


@asset(room="toy")
def a() -> dict[str, Any]:
    return {}


@asset(room="toy")
def b(a: dict[str, Any]) -> dict[str, Any]:
    return a


@asset(room="toy")
def c(b: dict[str, Any]) -> dict[str, Any]:
    return b


@asset(room="toy")
def d(a: dict[str, Any]) -> dict[str, Any]:
    return a


GRAPH = Graph([a, b, c, d])
NOW = Marks("world 1", "due 1")
OURS, OTHER, BY_HAND = EndedRun(NOW), EndedRun(Marks("world 0", "due 0")), EndedRun(None)


def decide(
    *ended: EndedRun, due: tuple[str, ...] = ("a", "b"), under_way: tuple[str, ...] = ()
) -> RefreshDecision:
    return decide_refresh(due, NOW, under_way=under_way, ended=ended, attempts=3)


def test_what_failed_and_all_below_it_is_left_alone_and_the_rest_runs() -> None:
    states = {
        "a": State("stale"),
        "b": State("failed", ("ValueError: no",)),
        "c": State("missing", ("upstream b is failed",)),
        "d": State("missing"),
    }
    assert runnable(GRAPH, states) == ("a", "d")


def test_what_is_blocked_or_fresh_never_runs() -> None:
    states = {
        "a": State("fresh"),
        "b": State("blocked"),
        "c": State("blocked"),
        "d": State("stale"),
    }
    assert runnable(GRAPH, states) == ("d",)


def test_all_that_is_due_is_one_run() -> None:
    assert decide().due == ("a", "b")


def test_nothing_due_is_no_run() -> None:
    assert decide(due=()).due == ()


def test_a_run_under_way_is_waited_for_by_name() -> None:
    found = decide(under_way=("run 1234 of refresh",))
    assert found.due == ()
    assert "run 1234 of refresh" in found.reason


@pytest.mark.parametrize(
    "ended",
    [[], [OURS], [OURS, OURS], [OTHER, OURS, OURS, OURS], [OURS, OURS, BY_HAND, OURS]],
    ids=["none", "one", "two", "data went there and back", "a person's run between"],
)
def test_it_is_tried_again(ended: list[EndedRun]) -> None:
    assert decide(*ended).due == ("a", "b")


def test_the_same_is_not_tried_for_ever() -> None:
    found = decide(OURS, OURS, OURS)
    assert (found.due, found.stuck) == ((), True)


def test_what_a_person_canceled_rests_until_code_settings_or_data_change() -> None:
    halfway = Marks(NOW.world, "more was due then")
    assert decide(EndedRun(halfway, canceled=True)).due == ()
    assert decide(EndedRun(Marks("world 0", "due 1"), canceled=True)).due == ("a", "b")


def test_all_words_are_shown_where_they_fit() -> None:
    assert listed(["2031-05-clinic", "2031-06-school"]) == "2031-05-clinic, 2031-06-school"
    assert listed([]) == ""


def test_what_does_not_fit_is_counted() -> None:
    shown = listed([f"2031-{number:03d}-a-batch" for number in range(400)])
    count = shown.count("a-batch")
    assert count > 5
    assert shown.endswith(f" and {400 - count} more")


@settings(max_examples=100, derandomize=True, deadline=None)
@given(words=st.lists(st.text(max_size=400), max_size=60))
def test_any_words_make_a_tag_that_is_printable_text_of_bounded_length(words: list[str]) -> None:
    tag = listed(words)
    assert len(tag) <= 250
    assert len(tag.encode()) <= 1000
    assert tag.isprintable()


def test_reasons_are_those_of_their_own_and_not_what_follows() -> None:
    states = {
        "a": State(
            "stale",
            (
                Reason("input", "input data changed"),
                Reason("setting", "setting x.y changed: 1 → 2"),
            ),
        ),
        "b": State("stale", (Reason("upstream", "upstream a is stale"),)),
        "c": State("stale", (Reason("code", "code of m:f changed", "m:f"),)),
    }
    assert reasons(states, ["a", "b"]) == "a: input data changed; a: setting x.y changed: 1 → 2"
