"""What describes and checks a value has keys of its own, and moves no data version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from iip_assets.engine.asset import asset, asset_check, describe
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.outcomes import Outcome, check_results, description
from iip_assets.engine.perform import BlockedError, MovedMeanwhileError, Performer
from iip_assets.engine.plan import make_plan
from iip_assets.engine.project import Project
from iip_assets.engine.reasons import in_words
from iip_assets.engine.staleness import State, find_states
from iip_assets.engine.values import (
    AsBefore,
    CheckResult,
    Noted,
    Operation,
    Setting,
    Skipped,
)
from iip_assets.engine.workspace import Workspace
from iip_assets_tests.engine.stand_ins import DictEvents, Keys


class SumSettings(BaseModel):
    times: int = 1
    threads: Annotated[int, Operation()] = 1
    added_later: Annotated[str, AsBefore("old way")] = "old way"


class Settings(BaseModel):
    sum: SumSettings = SumSettings()
    most: int = 100
    unit: str = "apples"


numbers = Source(
    "numbers",
    "toy",
    "Numbers.",
    lambda root: (root / "numbers").read_text(),
    lambda _, version: [int(part) for part in version.split()],
)
FAIL = {"describe_total": False}


@asset(room="toy")
def total(
    numbers: list[int], *, how: Annotated[SumSettings, Setting("sum")]
) -> Noted[dict[str, Any]] | Skipped:
    if not numbers:
        return Skipped("no numbers")
    return Noted({"value": sum(numbers) * how.times}, {"numbers": len(numbers)})


@describe(total)
def describe_total(
    total: dict[str, Any],
    numbers: list[int],
    notes: Mapping[str, Any],
    *,
    unit: Annotated[str, Setting("unit")],
) -> dict[str, Any]:
    if FAIL["describe_total"]:
        raise ValueError("no such colour")
    return {"text": f"{total['value']} {unit}", "first": numbers[0], "of": notes["numbers"]}


@asset_check(total, blocking=True)
def small_enough(total: dict[str, Any], *, most: Annotated[int, Setting("most")]) -> CheckResult:
    """It is not too much."""
    return CheckResult(passed=total["value"] <= most)


@asset(room="toy")
def double(total: dict[str, Any]) -> dict[str, Any]:
    return {"value": total["value"] * 2}


@asset(room="toy")
def half(double: dict[str, Any]) -> dict[str, Any]:
    return {"value": double["value"] / 2}


class Toy:
    """Two assets performed in this process, with an event log in memory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = Keys()
        self.events = DictEvents()
        self.settings = Settings()
        workspace = Workspace(root, lambda _: self.settings)
        self.project = Project(Graph([total, double], [numbers]), workspace, self.keys)
        self.write("1 2 3")

    def write(self, text: str) -> None:
        (self.root / "numbers").write_text(text)

    def set(self, **changes: Any) -> None:
        self.settings = self.settings.model_copy(update=changes)

    def states(self) -> dict[str, State]:
        self.events.observe("numbers", numbers.observe(self.root))
        return find_states(self.project, self.events)

    def due(self) -> dict[str, tuple[str, ...]]:
        states = self.states().items()
        return {name: tuple(in_words(one.reasons)) for name, one in states if one.due}

    def refresh(self, force: Sequence[str] = ()) -> dict[str, Outcome]:
        """Performs what is due; gives the outcomes."""
        done: dict[str, Outcome] = {}
        for name, state in self.states().items():
            if state.due or name in force:
                one = self.project.graph.assets[name]
                performer = Performer(self.project, self.events, lambda _: None, done, force)
                outcome = performer.perform(one, loaded=self.project.code_of(one))
                self.events.made[name] = outcome.materialized
        return done

    def told(self) -> dict[str, Any]:
        record = self.project.record("total", self.events)
        assert record is not None
        found = description(total, record, self.project.parts("total", self.events))
        return {name: entry["value"] for name, entry in found.items()}

    def passed(self) -> list[bool | None]:
        parts = self.project.parts("total", self.events)
        return [one["passed"] for one in check_results(total, parts)]


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    toy = Toy(tmp_path)
    toy.refresh()
    assert toy.due() == {}
    return toy


def test_a_description_tells_of_the_value_its_inputs_and_its_notes(toy: Toy) -> None:
    assert toy.told() == {"text": "6 apples", "first": 1, "of": 3}
    assert toy.passed() == [True]


@pytest.mark.parametrize(
    ("edit", "reasons"),
    [
        pytest.param(
            lambda toy: toy.keys.code.update(describe_total="second"),
            "its description: code changed: describe_total",
            id="code",
        ),
        pytest.param(
            lambda toy: toy.set(unit="pears"),
            "its description: setting unit changed: 'apples' → 'pears'",
            id="setting",
        ),
    ],
)
def test_a_description_that_changed_is_made_again_alone(toy: Toy, edit: Any, reasons: str) -> None:
    before = dict(toy.events.made)
    edit(toy)
    assert toy.due() == {"total": (reasons,)}
    assert toy.states()["total"].parts == ("total.describe",)
    done = toy.refresh()
    assert [(name, one.reused, one.parts_made) for name, one in done.items()] == [
        ("total", True, ("total.describe",))
    ]
    assert toy.events.made["total"].data_version == before["total"].data_version
    assert toy.due() == {}


def test_a_check_with_another_threshold_judges_the_same_value_again(toy: Toy) -> None:
    toy.set(most=5)
    assert toy.due() == {"total": ("the check small_enough: setting most changed: 100 → 5",)}
    done = toy.refresh()
    assert done["total"].reused
    assert done["total"].parts_made == ("total.small_enough",)
    assert toy.passed() == [False]
    assert toy.states()["double"].state == "blocked"
    toy.set(most=6)
    assert list(toy.due()) == ["total", "double"]
    toy.refresh()
    assert {name: state.state for name, state in toy.states().items()} == {
        "total": "fresh",
        "double": "fresh",
    }


def test_what_lies_below_a_check_that_fails_is_refused_in_the_same_run(toy: Toy) -> None:
    toy.write("50 60")
    with pytest.raises(BlockedError, match="the check small_enough of total failed"):
        toy.refresh()


def test_a_check_that_is_due_is_made_before_what_lies_further_below(toy: Toy) -> None:
    """An asset between the two is fresh, so a run puts neither before the other."""
    project = replace(toy.project, graph=Graph([total, double, half], [numbers]))
    toy.set(most=5)
    performer = Performer(project, toy.events, lambda _: None)
    with pytest.raises(BlockedError, match="the check small_enough of total failed"):
        performer.perform(half, loaded=project.code_of(half))


def test_a_check_of_code_that_this_process_did_not_load_is_not_made_early(toy: Toy) -> None:
    loaded = {"total": toy.project.code_of(total)}
    toy.keys.code.update(small_enough="second")
    toy.write("4 5")
    performer = Performer(toy.project, toy.events, lambda _: None, loaded=loaded)
    with pytest.raises(MovedMeanwhileError, match="the code of total changed"):
        performer.perform(double, loaded=toy.project.code_of(double))


def test_going_back_to_an_older_description_makes_none(toy: Toy) -> None:
    toy.set(unit="pears")
    toy.refresh()
    toy.set(unit="apples")
    assert list(toy.due()) == ["total"]  # what is shown is of the pears
    assert toy.refresh()["total"].parts_made == ()
    assert toy.told()["text"] == "6 apples"


def test_a_description_that_fails_costs_no_computation_and_is_named(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAIL, "describe_total", True)
    toy.write("4 5")
    with pytest.raises(ValueError, match="no such colour"):
        toy.refresh()
    state = toy.states()["total"]
    assert state.state == "failed"
    (reason,) = in_words(state.reasons)
    assert reason.startswith("its description failed: ValueError: no such colour (in describe_tot")
    assert "test_parts.py:" in reason
    whole = toy.root / ".iip" / "failures" / "total.describe.txt"
    assert reason.endswith(f"; the whole traceback: {whole.relative_to(toy.root)})")
    assert "Traceback" in whole.read_text()
    monkeypatch.setitem(FAIL, "describe_total", False)
    outcome = toy.refresh()["total"]
    assert outcome.reused
    assert set(outcome.parts_made) == {"total.describe", "total.small_enough"}
    assert toy.due() == {}


def test_a_skipped_value_has_no_description_and_its_checks_neither_pass_nor_fail(toy: Toy) -> None:
    toy.write("")
    done = toy.refresh()
    assert done["total"].parts == {}
    assert toy.told() == {"skipped": "no numbers"}
    assert toy.passed() == [None]
    assert toy.due() == {}


def test_a_lost_record_of_a_description_is_made_again(toy: Toy) -> None:
    key = toy.events.made["total"].parts["total.describe"]
    toy.project.workspace.parts.file("total.describe", key).unlink()
    assert toy.due() == {"total": ("its description is gone",)}
    assert toy.refresh()["total"].reused


def test_an_operation_enters_no_key_and_is_recorded(toy: Toy) -> None:
    toy.set(sum=SumSettings(threads=7))
    assert toy.due() == {}
    toy.write("7 8")
    record = toy.refresh()["total"].record
    assert record.settings == {"sum": {"times": 1}}
    assert record.machine["sum.threads"] == 7
    assert record.machine["cores"]


def test_a_setting_that_was_added_later_makes_nothing_stale_until_it_is_used(toy: Toy) -> None:
    assert toy.refresh(force=["total"])["total"].record.settings == {"sum": {"times": 1}}
    toy.set(sum=SumSettings(added_later="new way"))
    assert toy.due()["total"] == ("setting sum.added_later changed: None → 'new way'",)


def test_forced_a_value_is_described_and_checked_anew_too(toy: Toy) -> None:
    outcome = toy.refresh(force=["total"])["total"]
    assert (outcome.reused, outcome.same) == (False, True)
    assert set(outcome.parts_made) == {"total.describe", "total.small_enough"}


def test_a_plan_tells_that_the_value_stands(toy: Toy) -> None:
    toy.set(unit="pears")
    states = toy.states()
    (planned,) = make_plan(toy.project, toy.events, states, states)
    assert (planned.asset, planned.known, planned.parts) == ("total", True, ("total.describe",))
    assert planned.seconds is not None


def test_a_parameter_that_is_no_input_is_refused() -> None:
    with pytest.raises(TypeError, match="the first parameter must be called 'double'"):

        @describe(double)
        def describe_double(double: Any, numbers: Any) -> dict[str, Any]:
            return {}
