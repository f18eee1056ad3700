"""A run whose process is gone or was stopped does not stay "started" in Dagster's page."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import dagster as dg
import pytest
import typer

from iip_assets.cli.common import stoppable
from iip_assets.engine.dagster.runs import hold_run_lock
from iip_assets_tests.engine.toy import INPUTS, Pieces, Toy, press_materialize, refresh


def statuses(refresher: Any) -> list[str]:
    runs = refresher.open_instance().get_run_records()
    return [record.dagster_run.status.value for record in reversed(runs)]


def dying(act: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The act, in a process that is killed before it records the action of `c`."""

    def killed(refresher: Any) -> Any:
        from iip_assets.engine.actions import RecordLog

        add = RecordLog.add

        def deadly(self: RecordLog[Any], record: Any) -> None:
            if record.asset == "c":
                os._exit(9)
            add(self, record)

        RecordLog.add = deadly
        return act(refresher)

    return killed


def refresh_saying(refresher: Any) -> list[str]:
    words: list[str] = []
    refresher.log = words.append
    refresher.refresh()
    return words


def ui_run(refresher: Any) -> Any:
    return press_materialize(list(INPUTS))(refresher)


@pytest.mark.parametrize("act", [refresh, ui_run], ids=["a refresh", "a run from the UI"])
def test_a_killed_run_is_marked_failed_by_the_next_refresh(
    act: Callable[[Any], Any], toy: Toy
) -> None:
    toy.run(refresh)
    toy.write(Pieces(factor=3))
    assert toy.run(dying(act)) is None
    assert toy.run(statuses) == ["SUCCESS", "STARTED"]
    words = toy.run(refresh_saying)
    assert any("marked as failed: its process is gone" in text for text in words)
    assert toy.run(statuses) == ["SUCCESS", "FAILURE", "SUCCESS"]


def test_killed_after_its_last_asset_it_is_marked_though_nothing_is_due(toy: Toy) -> None:
    def die_at_the_end(refresher: Any) -> None:
        handle = dg.DagsterInstance.handle_new_event

        def deadly(self: Any, *given: Any, **named: Any) -> Any:
            if "PIPELINE_SUCCESS" in repr((given, named)):
                os._exit(9)
            return handle(self, *given, **named)

        dg.DagsterInstance.handle_new_event = deadly
        refresher.refresh()

    assert toy.run(die_at_the_end) is None
    assert toy.run(statuses) == ["STARTED"]
    assert toy.run(refresh)["computed"] == []
    assert toy.run(statuses) == ["FAILURE"]


def test_a_run_that_another_process_works_on_is_left_alone(toy: Toy) -> None:
    def work(refresher: Any) -> None:
        instance = refresher.open_instance()
        run = instance.create_run_for_job(dg.GraphDefinition("refresh").to_job())
        hold_run_lock(refresher.project.workspace.state, run.run_id)
        (toy.root / "holds").touch()
        while not (toy.root / "stop").exists():
            time.sleep(0.01)

    toy.run(refresh)
    worker = toy.start(work)
    toy.wait_for("holds", worker)
    toy.write(Pieces(factor=3))
    toy.run(refresh)
    assert toy.run(statuses) == ["SUCCESS", "NOT_STARTED", "SUCCESS"]
    (toy.root / "stop").touch()
    toy.wait(worker)
    toy.write(Pieces(factor=2))
    toy.run(refresh)
    assert toy.run(statuses)[1] == "FAILURE"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
def test_a_refresh_that_is_stopped_ends_in_words_and_the_next_goes_on(
    number: signal.Signals, toy: Toy, capfd: pytest.CaptureFixture[str]
) -> None:
    def stopped(refresher: Any) -> int:
        from iip_assets.engine.actions import RecordLog

        add = RecordLog.add

        def interrupted(self: RecordLog[Any], record: Any) -> None:
            if record.asset == "c":
                os.kill(os.getpid(), number)
                time.sleep(30)
            add(self, record)

        RecordLog.add = interrupted
        try:
            with stoppable("stopped; the next refresh goes on"):
                refresher.refresh()
        except typer.Exit as end:
            return end.exit_code
        return 0

    assert toy.run(stopped) == 130
    told = capfd.readouterr()
    assert "stopped; the next refresh goes on" in told.err
    assert "Traceback" not in told.err + told.out
    assert toy.run(statuses) == ["CANCELED"]
    result = toy.run(refresh)
    assert result["failed"] == {}
    assert "c" in result["computed"]
    assert "a" not in result["computed"]
