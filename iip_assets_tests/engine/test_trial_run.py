"""What is tried under other settings is recorded, and never what the workspace holds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import pytest

from iip_assets.engine.asset import asset
from iip_assets.engine.context import AssetContext
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.perform import MovedMeanwhileError, Performer
from iip_assets.engine.project import Project
from iip_assets.engine.trial_run import run_trial
from iip_assets.engine.values import Setting
from iip_assets.engine.workspace import Workspace
from iip_assets_tests.engine.stand_ins import DictEvents, Keys

CALLS: list[str] = []

numbers = Source(
    "numbers",
    "toy",
    "Numbers.",
    lambda root: (root / "numbers").read_text(),
    lambda _, version: [int(part) for part in version.split()],
)


@asset(room="toy")
def total(numbers: list[int]) -> dict[str, Any]:
    CALLS.append("total")
    return {"value": sum(numbers)}


@asset(room="toy")
def model(
    total: dict[str, Any], *, rate: Annotated[int, Setting("toy.rate")], context: AssetContext
) -> dict[str, Any]:
    CALLS.append("model")
    if rate < 0:
        raise ValueError("no such rate")
    if rate == 13:
        teacher: dict[str, Any] = context.recorded("model", context.recorded("total", "?"))
        return teacher
    return {"value": total["value"] * rate}


class Toy:
    """A workspace with a rate."""

    def __init__(self, root: Path) -> None:
        (root / "numbers").write_text("1 2 3")
        CALLS.clear()
        self.rate = 2
        workspace = Workspace(root, lambda _: settings(self.rate), None)
        self.project = Project(Graph((total, model), (numbers,)), workspace, Keys())
        self.events = DictEvents()
        self.loaded = {
            name: self.project.code_of(one) for name, one in self.project.graph.assets.items()
        }

    def refresh(self) -> dict[str, Any]:
        performer = Performer(self.project, self.events, print)
        for one in (total, model):
            outcome = performer.perform(one, loaded=self.project.code_of(one))
            self.events.made[one.name] = outcome.materialized
        found: dict[str, Any] = self.project.load("model", self.events)
        return found

    def trial(self, rate: int) -> Any:
        record = run_trial(self.project, "model", settings(rate), loaded=self.loaded, log=print)
        return self.project.workspace.artifacts.get(record.artifact)


def settings(rate: int) -> Any:
    return SimpleNamespace(toy=SimpleNamespace(rate=rate))


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_what_is_tried_leaves_what_is_held_and_is_taken_up_by_its_settings(toy: Toy) -> None:
    assert toy.refresh() == {"value": 12}
    held = dict(toy.events.made)
    assert toy.trial(5) == {"value": 30}
    assert toy.trial(5) == {"value": 30}
    assert toy.events.made == held
    # Its input had not moved, and the second time nothing was left to do.
    assert CALLS == ["total", "model", "model"]
    toy.rate = 5
    assert toy.refresh() == {"value": 30}
    assert CALLS == ["total", "model", "model"]


def test_what_it_needs_is_computed_where_it_never_was(toy: Toy) -> None:
    assert toy.trial(3) == {"value": 18}
    assert CALLS == ["total", "model"]


def test_code_that_was_edited_since_it_was_loaded_is_not_recorded_as_what_ran(toy: Toy) -> None:
    toy.trial(3)
    keys: Any = toy.project.code_keys
    keys.code["model"] = "edited"
    with pytest.raises(MovedMeanwhileError, match="changed since this process loaded it"):
        toy.trial(4)
    assert CALLS == ["total", "model"]


def test_a_failure_aside_is_no_failure_of_the_asset(toy: Toy) -> None:
    toy.refresh()
    with pytest.raises(ValueError, match="no such rate"):
        toy.trial(-1)
    assert not list((toy.project.workspace.state / "failures").glob("*"))


def test_what_a_killed_run_left_is_not_swept_away_by_a_trial(toy: Toy) -> None:
    left = toy.project.workspace.state / "scratch" / "model" / "0123456789abcdef"
    left.mkdir(parents=True)
    toy.trial(3)
    assert left.is_dir()
    toy.refresh()
    assert not left.exists()


def test_a_value_is_had_by_its_data_version_while_it_is_kept(toy: Toy) -> None:
    toy.refresh()
    version = toy.events.made["model"].data_version
    performer = Performer(toy.project, toy.events, print)
    toy.rate = 7
    toy.refresh()
    assert performer._recorded("model", version) == {"value": 12}
    with pytest.raises(LookupError, match="no value of total of the data version '\\?' is kept"):
        toy.trial(13)
