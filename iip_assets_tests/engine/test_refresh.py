"""A refresh says what went wrong, and only of what it was asked for."""

from __future__ import annotations

from typing import Any

import dagster as dg

from iip_assets.engine.dagster.refresh import root_cause
from iip_assets.engine.lock import workspace_lock
from iip_assets_tests.engine.toy import Pieces, Toy, refresh


def refresh_only(*names: str) -> Any:
    return lambda refresher: refresher.refresh(names).as_json()


def plan_only(*names: str) -> Any:
    def act(refresher: Any) -> Any:
        try:
            return [one.asset for one in refresher.plan(names)]
        except KeyError as error:
            return str(error)

    return act


def test_a_failure_elsewhere_is_no_failure_of_what_was_asked_for(toy: Toy) -> None:
    toy.write(Pieces(boom=True))
    failed = toy.run(refresh)["failed"]
    assert failed.keys() == {"c"}
    assert failed["c"].startswith("ValueError: boom (in c, ")
    result = toy.run(refresh_only("b"))
    assert result["failed"] == {}
    assert result["reused"] == ["a", "b"]


def test_a_plan_for_an_unknown_asset_is_refused_as_the_refresh_is(toy: Toy) -> None:
    assert toy.run(plan_only("b")) == ["a", "b"]
    assert "there is no asset 'bee'" in toy.run(plan_only("bee"))
    assert "numbers is a source, which is observed" in toy.run(plan_only("numbers"))


def test_code_edited_while_a_refresh_waits_for_another_is_not_taken_for_what_it_loaded(
    toy: Toy,
) -> None:
    def waiting_refresh(refresher: Any) -> Any:
        refresher.log = lambda text: (toy.root / "waits").touch() if "waiting" in text else None
        return refresh(refresher)

    toy.run(refresh)
    toy.write(Pieces(constant=3))
    with workspace_lock(toy.root / ".iip", log=lambda _: None):
        second = toy.start(waiting_refresh)
        toy.wait_for("waits", second)
        toy.write(Pieces(constant=5))
    result = toy.wait(second)
    assert "b changed since this process loaded it" in result["failed"]["b"]
    assert toy.run(refresh)["values"]["b"] == toy.run(refresh)["values"]["a"] + 5


def test_a_refresh_tells_each_asset_as_its_turn_comes(toy: Toy) -> None:
    def listened(refresher: Any) -> list[str]:
        words: list[str] = []
        refresher.log = words.append
        refresher.refresh()
        return words

    told = toy.run(listened)
    assert told[0].startswith("8 of 8 assets are due: ")
    begun = [line.split(" ") for line in told if line.startswith("[")]
    assert [place for place, *_ in begun] == [f"[{place}/8]" for place in range(1, 9)]
    assert {name for _, name, *_ in begun} == set("abcdefgh")


def test_what_an_alarm_tells_of_an_error_has_its_place_and_its_traceback(toy: Toy) -> None:
    def causes(refresher: Any) -> list[str]:
        refresher.refresh()
        instance = refresher.open_instance()
        (run,) = instance.get_runs()
        logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        return [root_cause(one.dagster_event.step_failure_data.error) for one in logs]

    toy.write(Pieces(boom=True))
    (cause,) = toy.run(causes)
    assert cause.startswith("ValueError: boom (in c, ")
    assert cause.endswith("; the whole traceback: .iip/failures/c.txt)")
    assert "Traceback" in (toy.root / ".iip" / "failures" / "c.txt").read_text()
