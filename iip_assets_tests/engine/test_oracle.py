"""The engine against an oracle that recomputes everything: values equal, computations minimal."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from iip_assets_tests.engine.toy import (
    INPUTS,
    PART_PIECES,
    PIECES,
    Pieces,
    Toy,
    naive,
    press_materialize,
    refresh,
)

EDITS = {
    "numbers": ["1 2 3", "4", "", "3 2 1"],
    "factor": [2, 3],
    "constant": [1, 3],
    "offset": [1, 4],
    "plus": [0, 7],
    "threshold": [1000, 50],
    "limit": [900, 5],
    "words": ["plain", "fancy"],
    "boom": [False, True],
    "docstring": ["A toy.", "Another toy."],
    "comment": ["# plain", "# fancy"],
    "unused": [0, 1],
}


class Engine(RuleBasedStateMachine):
    """Edits, runs, kills and reverts in any order; a model that recomputes all knows the truth.

    Most of it without Dagster, whose part `EngineOfDagster` has.
    """

    plain = True

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.toy = Toy(self.folder, plain=self.plain)
        self.pieces = Pieces()
        self.toy.write(self.pieces)
        self.latest: dict[str, Any] = {}
        self.done: set[str] = set()
        self.described: set[str] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    @rule(data=st.data(), name=st.sampled_from(sorted(EDITS)))
    def edit(self, data: st.DataObject, name: str) -> None:
        self.pieces = self.pieces.edited(**{name: data.draw(st.sampled_from(EDITS[name]))})
        self.toy.write(self.pieces)

    @rule()
    def refresh(self) -> None:
        """A refresh computes what was never computed, no more, and ends in the oracle's values."""
        result = self.toy.run(refresh)
        assert set(result["computed"]) == self._model_run(list(INPUTS))
        assert set(result["described"]) == self.described
        self._check_after_refresh(result)

    @rule(names=st.sets(st.sampled_from(sorted(INPUTS)), min_size=1))
    def press_materialize(self, names: set[str]) -> None:
        """A run from the UI's side over any assets computes no more than was never computed."""
        chosen = [name for name in INPUTS if name in names]
        result = self.toy.run(press_materialize(chosen))
        assert set(result["computed"]) == self._model_run(chosen)
        self._compare(result["values"])

    @rule(write=st.integers(min_value=1, max_value=20))
    def die(self, write: int) -> None:
        """A refresh killed in the middle of a write loses nothing; the next one ends right."""
        before = set(self.done)
        self.toy.run(refresh, die_at_write=write)
        expected = self._model_run(list(INPUTS))
        result = self.toy.run(refresh)
        assert set(result["computed"]) <= expected - before or not result["computed"]
        self._check_after_refresh(result)

    @rule()
    def refresh_twice_at_once(self) -> None:
        """Of two refreshes started together, one waits; nothing is computed twice."""
        started = [self.toy.start(refresh), self.toy.start(refresh)]
        results = [self.toy.wait(one) for one in started]
        computed = [name for result in results for name in result["computed"]]
        assert sorted(computed) == sorted(self._model_run(list(INPUTS)))
        described = [name for result in results for name in result["described"]]
        assert sorted(described) == sorted(self.described)
        self._check_after_refresh(results[0])
        self._check_after_refresh(results[1])

    def _check_after_refresh(self, result: dict[str, Any]) -> None:
        """Values are the oracle's; nothing is stale but what waits for a failed or blocked one."""
        self._compare(result["values"])
        for name in INPUTS:
            state, _ = result["states"][name]
            if self._blocked(name):
                assert state == "blocked", (name, result["states"])
            elif self.pieces.boom and self._below(name, "c"):
                assert (
                    state == "failed" if name == "c" else state in ("stale", "missing", "blocked")
                )
            else:
                assert state == "fresh", (name, result["states"])

    # The model.

    def _key(self, name: str) -> str:
        pieces = [getattr(self.pieces, piece) for piece in PIECES[name]]
        return json.dumps([name, pieces, [self._input(one) for one in INPUTS[name]]])

    def _part_key(self, name: str) -> str | None:
        if name not in PART_PIECES:
            return None
        pieces = [getattr(self.pieces, piece) for piece in PART_PIECES[name]]
        read = [self._input(one) for one in (name, *INPUTS[name])]
        return json.dumps([f"{name}.part", pieces, read[: 1 if name == "e" else None]])

    def _input(self, name: str) -> Any:
        return self.pieces.numbers.split() if name == "numbers" else self.latest.get(name)

    def _model_run(self, names: list[str]) -> set[str]:
        """Runs these assets in the model; gives those that had to be computed.

        `described` then holds those of which only the description or a check had to be made.
        """
        computed: set[str] = set()
        self.described = set()
        stopped: set[str] = set()
        for name in names:
            given = {one: self._value(one) for one in INPUTS[name]}
            if set(INPUTS[name]) & stopped or None in given.values() or self._blocked(name):
                stopped.add(name)
                continue
            if name == "c" and self.pieces.boom:
                stopped.add(name)
                continue
            key = self._key(name)
            if key not in self.done:
                self.done.add(key)
                computed.add(name)
            self.latest[name] = naive(self.pieces, name, given)
            told = self._part_key(name)
            if told is not None and told not in self.done:
                self.done.add(told)
                self.described |= {name} - computed
            if name == "e":
                # The check's verdict belongs to the value, its code and its settings.
                self.e_passed = self.latest["e"] <= self.pieces.limit
                if not self.e_passed:
                    stopped.add(name)
        return computed

    def _value(self, name: str) -> Any:
        if name == "numbers":
            return [int(part) for part in self.pieces.numbers.split()]
        return None if self.latest.get(name) is None else {"value": self.latest[name]}

    def _below(self, name: str, top: str) -> bool:
        return name == top or any(self._below(one, top) for one in INPUTS.get(name, ()))

    def _blocked(self, name: str) -> bool:
        return name == "f" and "e" in self.latest and not self.e_passed

    def _compare(self, values: dict[str, Any]) -> None:
        assert values == {name: self.latest.get(name) for name in INPUTS}


class EngineOfDagster(Engine):
    """The same with Dagster's runs and its event log."""

    plain = False


SETTINGS = settings(
    max_examples=8,
    stateful_step_count=10,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    print_blob=False,
)
EngineMatchesOracle = Engine.TestCase
EngineMatchesOracle.settings = SETTINGS
EngineOfDagsterMatchesOracle = EngineOfDagster.TestCase
EngineOfDagsterMatchesOracle.settings = settings(SETTINGS, max_examples=2)
