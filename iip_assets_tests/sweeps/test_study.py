from __future__ import annotations

import json
import os
import pickle
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from iip_assets.sweeps.plan import Plan, PlanError, suggest
from iip_assets.sweeps.study import DATABASE, Done, Study, importances, load_study

MADE_OF = {"data": "d1", "code": "c1"}
NUMBERS = {
    "filter.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True, "points": 4},
    "filter.batch_size": {"low": 8, "high": 64, "step": 8},
}
MIXED = {**NUMBERS, "filter.train": ("head", "network")}


def plan(sampler: str = "tpe", **facts: Any) -> Plan:
    told = {"space": NUMBERS if sampler == "cmaes" else MIXED, "trials": 12, **facts}
    return Plan(name="first", model="filter", sampler=sampler, **told)


def quality(values: dict[str, Any]) -> float:
    """Best at a learning rate of 0.01, with large batches."""
    rate = values["filter.learning_rate"]
    return values["filter.batch_size"] / 64 - abs(rate - 0.01) * 10


def run(folder: Path, sweep: Plan, *, killed_at: frozenset[int] = frozenset()) -> list[Done]:
    """All trials, in a study that is opened again after each kill."""
    killed: set[int] = set()
    study = Study.open(folder, sweep, MADE_OF, force=False)
    while (trial := study.next()) is not None:
        values = suggest(trial, sweep.space)
        if trial.number in killed_at - killed:
            killed.add(trial.number)
            study = Study.open(folder, sweep, MADE_OF, force=False)
            continue
        study.succeeded(
            trial, quality=quality(values), low=0.0, high=1.0, latency_ms=1.0 + trial.number
        )
    return study.done()


@pytest.mark.parametrize(
    ("sampler", "objectives"),
    [
        ("grid", ("quality",)),
        ("random", ("quality",)),
        ("tpe", ("quality",)),
        ("tpe", ("quality", "latency")),
        ("cmaes", ("quality",)),
        ("nsga2", ("quality", "latency")),
    ],
)
def test_a_sweep_that_is_killed_tries_what_it_would_have_tried(
    tmp_path: Path, sampler: str, objectives: tuple[str, ...]
) -> None:
    sweep = plan(sampler, objectives=objectives)
    whole = run(tmp_path / "whole", sweep)
    broken = run(tmp_path / "broken", sweep, killed_at=frozenset({0, 5, 11}))
    assert [one.values for one in broken] == [one.values for one in whole]
    assert [one.number for one in broken] == list(range(12))


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_what_stands_in_the_place_of_the_state_of_cmaes_is_not_run(tmp_path: Path) -> None:
    sweep = plan("cmaes")
    study = Study.open(tmp_path, sweep, MADE_OF, force=False)
    for _ in range(10):
        trial = study.next()
        values = suggest(trial, sweep.space)
        study.succeeded(trial, quality=quality(values), low=0.0, high=1.0, latency_ms=1.0)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        harm = json.dumps(pickle.dumps(Harmful(tmp_path / "harm")).hex())
        changed = database.execute(
            "UPDATE trial_system_attributes SET value_json = ? WHERE key LIKE '%optimizer:0'",
            (harm,),
        )
        assert changed.rowcount
        database.execute("DELETE FROM trial_system_attributes WHERE key LIKE '%optimizer:1'")
    study = Study.open(tmp_path, sweep, MADE_OF, force=False)
    with pytest.raises(PlanError, match=r"holds posix.mkdir .* is not loaded"):
        suggest(study.next(), sweep.space)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_a_search_finds_better_than_it_began(tmp_path: Path, sampler: str) -> None:
    done = run(tmp_path, plan(sampler, trials=24))
    found = [one.quality for one in done if one.quality is not None]
    first, last = found[:10], found[-10:]
    assert sum(last) / 10 > sum(first) / 10 + 0.1


def test_a_grid_tries_every_combination_once(tmp_path: Path) -> None:
    space = {
        "filter.batch_size": {"low": 8, "high": 32, "step": 8},
        "filter.learning_rate": (0.1, 0.2),
    }
    done = run(tmp_path, plan("grid", space=space, trials=100))
    assert sorted(tuple(one.values.values()) for one in done) == [
        (size, rate) for size in (8, 16, 24, 32) for rate in (0.1, 0.2)
    ]


def test_the_best_of_two_objectives_are_those_that_none_beats_in_both(tmp_path: Path) -> None:
    done = run(tmp_path, plan("random", objectives=("quality", "latency")))
    # Each trial took longer than those before it, so only a better quality keeps it on the front.
    before = float("-inf")
    for one in done:
        assert one.quality is not None
        assert one.best == (one.quality > before)
        before = max(before, one.quality)


def test_one_trial_is_best_where_several_are_equal(tmp_path: Path) -> None:
    study = Study.open(tmp_path, plan(trials=3), MADE_OF, force=False)
    while (trial := study.next()) is not None:
        suggest(trial, study.plan.space)
        study.succeeded(trial, quality=0.5, low=0.4, high=0.6, latency_ms=1.0)
    assert [one.best for one in study.done()] == [True, False, False]


def test_a_failed_trial_is_kept_with_its_reason_and_is_not_tried_again(tmp_path: Path) -> None:
    study = Study.open(tmp_path, plan(trials=2), MADE_OF, force=False)
    trial = study.next()
    assert trial is not None
    suggest(trial, study.plan.space)
    study.failed(trial, "the loss is no number")
    following = study.next()
    assert following is not None
    assert following.number == 1
    (done,) = study.done()
    assert (done.quality, done.reason, done.best) == (None, "the loss is no number", False)


def test_more_trials_go_on_where_fewer_ended(tmp_path: Path) -> None:
    few = run(tmp_path, plan("random", trials=4))
    many = run(tmp_path, plan("random", trials=6))
    assert [one.values for one in many[:4]] == [one.values for one in few]
    assert len(many) == 6


@pytest.mark.parametrize(
    ("other", "made_of", "named"),
    [
        ({"seed": 1}, MADE_OF, "seed"),
        ({}, {**MADE_OF, "data": "d2"}, "data"),
        ({}, {**MADE_OF, "code": "c2"}, "code"),
    ],
    ids=["plan", "data", "code"],
)
def test_trials_of_another_plan_data_or_code_are_not_mixed(
    tmp_path: Path, other: dict[str, Any], made_of: dict[str, str], named: str
) -> None:
    run(tmp_path, plan("random", trials=2))
    with pytest.raises(PlanError, match=rf"another {named}.*--again"):
        Study.open(tmp_path, plan("random", trials=2, **other), made_of, force=False)
    begun = Study.open(tmp_path, plan("random", trials=2, **other), made_of, force=True)
    assert begun.done() == []


def test_what_matters_is_told_from_eight_trials_on(tmp_path: Path) -> None:
    run(tmp_path, plan("random", trials=7))
    assert importances(load_study(tmp_path, "first")[0]) == {}
    run(tmp_path, plan("random", trials=60))
    found = importances(load_study(tmp_path, "first")[0])
    # Of `quality`: the variance of the batch's term is 0.082, of the rate's 0.031.
    assert found["filter.batch_size"] == pytest.approx(0.72, abs=0.12)
    assert found["filter.learning_rate"] == pytest.approx(0.28, abs=0.12)
    assert found["filter.train"] < 0.05


def test_a_sweep_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    run(tmp_path, plan("random", trials=1))
    with pytest.raises(LookupError, match=r"no sweep 'second'; there are: first"):
        load_study(tmp_path, "second")
