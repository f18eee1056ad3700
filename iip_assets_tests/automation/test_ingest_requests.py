"""A dropped batch is taken once; what breaks is tried again, up to a number."""

from __future__ import annotations

import pytest

from iip_assets.automation.ingest_requests import Drop, IngestRun, Outcome, decide_ingests

A = Drop("a", "1")


def runs(*outcomes: Outcome, drop: Drop = A) -> list[IngestRun]:
    return [IngestRun(drop.batch, drop.fingerprint, outcome) for outcome in outcomes]


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
