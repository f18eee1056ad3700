"""Refreshes from the command line, the UI and sensors meet in one workspace."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

from iip_assets.engine.lock import workspace_lock
from iip_assets_tests.engine.toy import INPUTS, Pieces, Toy, press_materialize, refresh


def hold_for_ever(refresher: Any) -> None:
    state = refresher.project.workspace.state
    with workspace_lock(state, log=lambda _: None):
        (state / "held").touch()
        time.sleep(600)


def wait_for(file: Path) -> None:
    for _ in range(6000):
        if file.exists():
            return
        time.sleep(0.01)
    raise AssertionError(f"{file} did not come")


def test_a_kill_frees_the_lock(toy: Toy) -> None:
    holder = toy.start(hold_for_ever)
    wait_for(toy.root / ".iip" / "held")
    waiting = toy.start(refresh)
    time.sleep(0.2)
    os.kill(holder[0], signal.SIGKILL)
    assert toy.wait(holder) is None
    assert len(toy.wait(waiting)["computed"]) == len(INPUTS)


def test_a_run_of_the_ui_and_a_refresh_started_together_compute_nothing_twice(toy: Toy) -> None:
    """The first start of both: Dagster's home, the event log and every asset are new."""
    shutil.rmtree(toy.root / ".iip")
    started = [toy.start(press_materialize(list(INPUTS))), toy.start(refresh)]
    results = [toy.wait(one) for one in started]
    computed = [name for result in results for name in result["computed"]]
    assert sorted(computed) == sorted(INPUTS)
    after = toy.run(refresh)
    assert after["computed"] == []
    assert {state for state, _ in after["states"].values()} == {"fresh"}


def test_what_the_ui_does_while_a_refresh_keeps_its_copy_of_the_event_log_is_seen(toy: Toy) -> None:
    toy.run(refresh)
    toy.write(Pieces(numbers="7"))
    started = [toy.start(refresh), toy.start(press_materialize(["a", "b"]))]
    for one in started:
        toy.wait(one)
    after = toy.run(refresh)
    assert {state for state, _ in after["states"].values()} == {"fresh"}
    assert after["values"]["a"] == 14


def only(names: list[str], *, meet: bool = False) -> Any:
    """A refresh of some assets; with `meet`, computing b waits until c is computed, and c for b."""

    def act(refresher: Any) -> dict[str, Any]:
        from iip_assets.engine.perform import Performer

        call, root = Performer._call, refresher.project.workspace.root

        def meeting(self: Any, part: Any, *rest: Any) -> Any:
            if part.name in ("b", "c"):
                (root / f"{part.name} began").touch()
                wait_for(root / ("c began" if part.name == "b" else "b began"))
            return call(self, part, *rest)

        if meet:
            Performer._call = meeting  # type: ignore[method-assign]
        result: dict[str, Any] = refresher.refresh(names).as_json()
        return result

    return act


def test_two_assets_that_do_not_depend_on_each_other_are_computed_at_once(toy: Toy) -> None:
    """From two terminals: each is in the middle of its asset while the other one is, too."""
    toy.run(only(["a"]))
    started = [toy.start(only([name], meet=True)) for name in ("b", "c")]
    assert [toy.wait(one)["computed"] for one in started] == [["b"], ["c"]]
    after = toy.run(refresh)
    assert set(after["computed"]).isdisjoint({"a", "b", "c"})
