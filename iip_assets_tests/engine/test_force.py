"""A person asks to compute again what is recorded already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iip_assets_tests.engine.test_perform import Toy as Performed
from iip_assets_tests.engine.test_perform import lengths, total
from iip_assets_tests.engine.toy import Pieces, Toy, refresh, states


@pytest.fixture
def plain() -> bool:
    """Whether the toy is without Dagster: one test is of both."""
    return True


@pytest.fixture
def toy(tmp_path: Path, plain: bool) -> Toy:
    made = Toy(tmp_path, plain=plain)
    made.write(Pieces())
    made.run(refresh)
    return made


def refresh_anew(*names: str, only: tuple[str, ...] = ()) -> Any:
    def act(refresher: Any) -> Any:
        return {
            **refresher.refresh(only, force=names).as_json(),
            "states": states(refresher),
        }

    return act


def forge(name: str, value: int) -> Any:
    """Records another value for the present action, as a computation with a chance in it might."""

    def act(refresher: Any) -> None:
        from dataclasses import replace

        project = refresher.project
        record = project.record(name, refresher.events())
        artifact = project.workspace.artifacts.put({"value": value})
        project.workspace.actions.add(replace(record, artifact=artifact))

    return act


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "with Dagster"])
def test_what_comes_out_equal_runs_nothing_below(toy: Toy) -> None:
    result = toy.run(refresh_anew("b"))
    assert result["computed"] == ["b"]
    assert result["forced"] == {"b": "equal"}
    assert {state for state, _ in result["states"].values()} == {"fresh"}


def test_what_comes_out_different_replaces_the_record_and_runs_what_reads_it(toy: Toy) -> None:
    toy.run(forge("b", 1000))
    toy.run(refresh)  # all below now rests on the forged value
    result = toy.run(refresh_anew("b"))
    assert result["forced"] == {"b": "changed"}
    assert result["computed"] == ["b"]  # what lies below was computed of the true value before
    assert toy.run(refresh)["values"]["d"] == toy.run(refresh)["values"]["b"] + 26


def test_stale_inputs_of_what_is_asked_for_come_first(toy: Toy) -> None:
    toy.write(Pieces(numbers="5"))
    assert toy.run(refresh_anew("b", only=("b",)))["computed"] == ["a", "b"]


def test_a_failure_leaves_the_recorded_result_and_is_told(toy: Toy) -> None:
    def failing(refresher: Any) -> Any:
        put = type(refresher.project.workspace.artifacts).put

        def full(self: Any, value: Any) -> Any:
            raise OSError("no space left")

        type(refresher.project.workspace.artifacts).put = full
        try:
            return refresh_anew("b")(refresher)
        finally:
            type(refresher.project.workspace.artifacts).put = put

    result = toy.run(failing)
    assert result["failed"] == {"b": "OSError: no space left"}
    assert result["computed"] == []
    assert {state for state, _ in toy.run(refresh)["states"].values()} == {"fresh"}


def test_what_failed_is_tried_again_once(toy: Toy) -> None:
    toy.write(Pieces(boom=True))
    failed = toy.run(refresh_anew("c"))["failed"]
    assert list(failed) == ["c"]
    assert failed["c"].startswith("ValueError: boom (in c")
    toy.write(Pieces())
    assert toy.run(refresh_anew("c"))["failed"] == {}


@pytest.mark.parametrize("write", [1, 2, 4])
def test_a_kill_on_the_way_leaves_the_old_result_or_the_new_one(toy: Toy, write: int) -> None:
    before = toy.run(refresh)["values"]
    toy.run(refresh_anew("b"), die_at_write=write)
    result = toy.run(refresh)
    assert result["values"] == before
    assert result["computed"] == []


def test_an_unknown_asset_is_refused(toy: Toy) -> None:
    with pytest.raises(AssertionError, match="there is no asset 'bee'"):
        toy.run(refresh_anew("bee"))


def test_each_image_is_computed_again_and_its_row_replaced(tmp_path: Path) -> None:
    performed = Performed(tmp_path)
    performed.perform(total, lengths)
    assert performed.perform(lengths).reused
    outcome = performed.perform(lengths, force=["lengths"])
    assert (outcome.record.images_computed, outcome.record.images_reused) == (3, 0)
    assert outcome.same is True
    (table,) = outcome.record.features
    assert table.startswith("lengths-")
    assert performed.perform(lengths).record.features == outcome.record.features
