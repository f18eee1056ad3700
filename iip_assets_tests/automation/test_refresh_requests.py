"""One run over the stale part, none where that would repeat what just failed."""

from __future__ import annotations

from typing import Any

import pytest

from iip_assets.automation.refresh_requests import (
    EndedRun,
    Marks,
    RefreshDecision,
    decide_refresh,
    runnable,
)
from iip_assets.engine.asset import asset
from iip_assets.engine.graph import Graph
from iip_assets.engine.staleness import State


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
