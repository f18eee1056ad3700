"""What changed is asked for once, in one run, and what failed is not asked for again and again.

The toy's pieces are edited as a user would, each look happens in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from iip_assets.automation.alarms import AlarmBox
from iip_assets.automation.run_requests import WHY_TAG
from iip_assets.automation.sensors import build_sensors
from iip_assets.engine.dagster import graph as dagster_graph
from iip_assets.engine.dagster.graph import REFRESH_JOB, build_dagster_definitions
from iip_assets.engine.dagster.instance import DagsterEvents
from iip_assets.engine.dagster.refresh import root_cause
from iip_assets.engine.event_cache import read_cached_events
from iip_assets.engine.lock import workspace_lock
from iip_assets.engine.perform import Performer
from iip_assets_tests.engine.toy import INPUTS, Pieces, Toy, press_materialize, refresh

# Loaded once here, so that each forked process has it.
with dg.DagsterInstance.local_temp():
    pass

ALL = list(INPUTS)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    made = Toy(tmp_path)
    made.write(Pieces())
    (made.root / "iip.toml").write_text("")
    return made


def look(refresher: Any, name: str = "dvc_data_sensor") -> Any:
    sensors = {one.name: one for one in build_sensors(refresher.project)}
    with dg.build_sensor_context(instance=refresher.open_instance()) as context:
        return sensors[name](context)


def ask(refresher: Any) -> dict[str, Any]:
    """What the sensor asks for."""
    result = look(refresher)
    requests = result.run_requests or []
    assert len(requests) <= 1
    assert all(request.run_key is None for request in requests)
    assets = sorted(key.to_user_string() for one in requests for key in one.asset_selection or ())
    tags = dict(requests[0].tags) if requests else {}
    skipped = result.skip_reason.skip_message if result.skip_reason else ""
    return {"assets": assets, "reason": tags.get(WHY_TAG), "skipped": skipped}


def answer(*, succeeds: bool = True) -> Callable[[Any], dict[str, Any]]:
    """Asks, and runs what was asked for as the daemon would."""

    def act(refresher: Any) -> dict[str, Any]:
        request = look(refresher).run_requests[0]
        definitions = build_dagster_definitions(refresher.project)
        if not succeeds:
            refresher.project.code_keys.of = killed
        result = definitions.resolve_job_def(REFRESH_JOB).execute_in_process(
            instance=refresher.open_instance(),
            asset_selection=list(request.asset_selection),
            tags=dict(request.tags),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        failed = [event for event in result.all_events if event.is_step_failure]
        causes = [root_cause(event.step_failure_data.error) for event in failed]
        return {"success": result.success, "causes": causes}

    return act


def killed(*_: object) -> None:
    raise RuntimeError("as if the process had died")


def alarms(refresher: Any) -> list[str]:
    return [alarm.text for alarm in AlarmBox.of(refresher.project.workspace.state).pending()]


def test_all_that_is_stale_is_one_run_and_then_there_is_none(toy: Toy) -> None:
    found = toy.run(ask)
    assert found["assets"] == ALL
    assert "a: never materialized" in found["reason"]
    assert toy.run(answer()) == {"success": True, "causes": []}
    assert toy.run(ask)["skipped"] == "nothing is due that may run by itself"
    assert toy.run(refresh)["computed"] == []


def test_an_edit_asks_for_what_it_reaches_and_says_why(toy: Toy) -> None:
    toy.run(refresh)
    toy.write(Pieces(constant=7))
    found = toy.run(ask)
    assert found["assets"] == ["b", "d", "e", "f", "g", "h"]
    assert found["reason"] == "b: code changed: toy.assets:b"


def test_data_that_goes_there_and_back_is_asked_for_each_time(toy: Toy) -> None:
    toy.run(answer())
    for numbers in ("5", "1 2 3", "5"):
        toy.write(Pieces(numbers=numbers))
        assert toy.run(answer()) == {"success": True, "causes": []}
        assert toy.run(ask)["assets"] == []


def test_a_look_whose_request_was_lost_is_repeated(toy: Toy) -> None:
    assert toy.run(ask)["assets"] == toy.run(ask)["assets"] == ALL


def test_what_failed_and_what_stands_below_is_not_asked_for_until_something_changed(
    toy: Toy,
) -> None:
    toy.write(Pieces(boom=True))
    answered = toy.run(answer())
    assert not answered["success"]
    assert [cause.partition(" (in c")[0] for cause in answered["causes"]] == ["ValueError: boom"]
    assert toy.run(ask)["assets"] == []
    toy.write(Pieces(boom=True, constant=2))
    assert toy.run(ask)["assets"] == ["b", "g", "h"]
    toy.write(Pieces())
    assert toy.run(ask)["assets"] == ["c", "d", "e", "f"]


def test_what_is_blocked_is_not_asked_for(toy: Toy) -> None:
    toy.write(Pieces(limit=0))
    toy.run(refresh)
    assert toy.run(ask)["assets"] == []


def test_a_refresh_in_progress_is_waited_for(toy: Toy) -> None:
    def until_it_waits(text: str) -> None:
        if "waiting" in text:
            (toy.root / "waits").touch()

    def press(refresher: Any) -> Any:
        dagster_graph.Performer = lambda project, events, _, *more, **named: Performer(
            project, events, until_it_waits, *more, **named
        )
        return press_materialize(["a"])(refresher)["success"]

    toy.run(refresh)
    toy.write(Pieces(numbers="7"))
    with workspace_lock(toy.root / ".iip", log=lambda _: None):
        pressed = toy.start(press)
        toy.wait_for("waits", pressed)
        assert "waits for run" in toy.run(ask)["skipped"]
    assert toy.wait(pressed) is True
    assert toy.run(ask)["assets"] == ["b", "c", "d", "e", "f", "g", "h"]


def test_runs_that_leave_the_same_due_are_not_repeated_for_ever_and_a_person_hears_of_it(
    toy: Toy,
) -> None:
    for _ in range(3):
        assert toy.run(ask)["assets"] == ALL
        assert not toy.run(answer(succeeds=False))["success"]
    assert toy.run(ask)["assets"] == []
    assert "still due: a, b, c" in toy.run(alarms)[0]
    toy.write(Pieces(constant=9))
    assert toy.run(ask)["assets"] == ALL


def test_the_copy_of_the_event_log_says_what_the_sensor_observed(toy: Toy) -> None:
    def both(refresher: Any) -> Any:
        look(refresher)
        state, graph = refresher.project.workspace.state, refresher.project.graph
        copy = read_cached_events(state, graph)
        log = DagsterEvents(refresher.open_instance())
        assert copy is not None
        assert [copy.materialized(name) for name in ALL] == [log.materialized(name) for name in ALL]
        return [copy.observed("numbers"), log.observed("numbers")]

    toy.run(refresh)
    assert toy.run(both) == ["1 2 3", "1 2 3"]
    toy.write(Pieces(numbers="8"))
    assert toy.run(both) == ["8", "8"]
    assert toy.run(refresh)["values"]["a"] == 16


def test_failed_assets_and_failed_checks_raise_alarms_once(toy: Toy) -> None:
    def scan(refresher: Any) -> list[str]:
        look(refresher, "alarm_sensor")
        box = AlarmBox.of(refresher.project.workspace.state)
        return [f"{alarm.kind} {alarm.subject}" for alarm in box.sent()]

    toy.write(Pieces(boom=True))
    toy.run(refresh)
    assert toy.run(scan) == ["asset_failure c"]
    toy.write(Pieces(limit=0))
    toy.run(refresh)
    assert toy.run(scan) == ["asset_failure c", "check_failed e.at_most"]
    assert toy.run(scan) == ["asset_failure c", "check_failed e.at_most"]
