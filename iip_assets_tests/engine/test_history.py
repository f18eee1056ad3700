"""Of all that was computed, the records that belong to an older state."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from iip_assets.engine.actions import ActionRecord
from iip_assets.engine.artifacts import Artifact
from iip_assets.engine.asset import asset
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.history import Point, records_at
from iip_assets.engine.project import Project
from iip_assets.engine.workspace import Workspace
from iip_assets_tests.engine.toy import INPUTS, Pieces, Toy, naive, refresh

SETTINGS = SimpleNamespace(toy=SimpleNamespace(threshold=1000))


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path, plain=True)


def oracle(pieces: Pieces) -> dict[str, int]:
    """Every value of the toy, computed without the engine."""
    values: dict[str, Any] = {"numbers": [int(part) for part in pieces.numbers.split()]}
    for name, inputs in INPUTS.items():
        given = {one: values[one] for one in inputs}
        values[name] = {"value": naive(pieces, name, given)}
    return {name: values[name]["value"] for name in INPUTS}


def values_at(
    pieces: Pieces, names: list[str] | None = None
) -> Callable[[Any], dict[str, int | None]]:
    """What the records of the state hold, by asset."""

    def act(refresher: Any) -> dict[str, int | None]:
        settings = SimpleNamespace(toy=SimpleNamespace(threshold=pieces.threshold))
        point = Point({"numbers": pieces.numbers}, settings)
        project = refresher.project
        return {
            name: project.workspace.artifacts.get(record.artifact)["value"]
            for name, record in records_at(project, point, names).items()
        }

    return act


def test_an_older_state_of_the_data_is_found_after_the_data_moved_on_and_back(toy: Toy) -> None:
    first, second = Pieces(), Pieces(numbers="4 5")
    for pieces in (first, second, first):
        toy.write(pieces)
        toy.run(refresh)
    for pieces in (first, second):
        assert toy.run(values_at(pieces)) == oracle(pieces)
    assert toy.run(values_at(Pieces(numbers="7"))) == {}


def test_changed_settings_part_the_states_only_where_they_are_read(toy: Toy) -> None:
    before, after = Pieces(), Pieces(threshold=5)
    for pieces in (before, after):
        toy.write(pieces)
        toy.run(refresh)
    assert toy.run(values_at(before)) == oracle(before)
    assert toy.run(values_at(after)) == oracle(after)
    # Under a setting that was never tried, all above it is known, and nothing below.
    assert set(toy.run(values_at(Pieces(threshold=7)))) == {"a", "b", "c", "d", "g", "h"}


def test_a_state_that_only_older_code_computed_is_found_and_present_code_comes_first(
    toy: Toy,
) -> None:
    old, new = Pieces(factor=2), Pieces(factor=3)
    toy.write(old)
    toy.run(refresh)
    toy.write(new.edited(numbers="9"))
    toy.run(refresh)
    assert toy.run(values_at(old)) == oracle(old)
    toy.write(new)
    toy.run(refresh)
    assert toy.run(values_at(old)) == oracle(new)
    toy.write(old.edited(numbers="9"))
    assert toy.run(values_at(old)) == oracle(old)


def test_a_half_done_refresh_gives_what_hangs_together(toy: Toy) -> None:
    old, new = Pieces(factor=2), Pieces(factor=3)
    toy.write(old)
    toy.run(refresh)
    toy.write(new)
    toy.run(lambda refresher: refresher.refresh(["h"]).as_json())
    found = toy.run(values_at(new))
    # The way to f was computed by the old code alone, and asked for first; h agrees with it.
    assert found == oracle(old)
    assert toy.run(values_at(new, ["h"])) == {
        name: value for name, value in oracle(new).items() if name in ("a", "b", "g", "h")
    }


# Records written by hand, for what a toy cannot show.


@asset(room="toy")
def top(numbers: Any) -> dict[str, Any]:
    return {}


@asset(room="toy")
def left(top: Any) -> dict[str, Any]:
    return {}


@asset(room="toy")
def bottom(top: Any, left: Any) -> dict[str, Any]:
    return {}


def project_of(root: Path) -> Project:
    numbers = Source("numbers", "toy", "", lambda _: "1", lambda *_: None)
    keys: Any = SimpleNamespace(of=lambda _: SimpleNamespace(key="now"))
    workspace = Workspace(root, lambda _: SETTINGS)
    return Project(Graph([top, left, bottom], [numbers]), workspace, keys)


def record(name: str, version: str, inputs: Mapping[str, str], **changes: Any) -> ActionRecord:
    made = ActionRecord(
        action_key=f"{name}-{version}-{'-'.join(inputs.values())}-{len(changes)}",
        asset=name,
        code_key="old",
        modules={},
        packages={},
        settings={},
        inputs=inputs,
        artifact=Artifact("json", version, "x"),
        images_computed=0,
        images_reused=0,
        seconds=0.1,
        git_commit="",
    )
    return replace(made, **changes)


def choose(root: Path, *records: ActionRecord, commit: str = "") -> dict[str, str]:
    project = project_of(root)
    for one in records:
        project.workspace.actions.add(one)
    found = records_at(project, Point({"numbers": "1"}, SETTINGS, commit))
    return {name: one.data_version for name, one in found.items()}


def test_a_record_made_of_parts_of_two_states_is_not_chosen(tmp_path: Path) -> None:
    mixed = record("bottom", "mixed", {"top": "t2", "left": "l1"}, made_at="2026-03")
    found = choose(
        tmp_path,
        record("top", "t1", {"numbers": "1"}),
        record("top", "t2", {"numbers": "1"}, made_at="2026-02"),
        record("left", "l1", {"top": "t1"}),
        record("bottom", "whole", {"top": "t1", "left": "l1"}, made_at="2026-01"),
        mixed,
    )
    assert found == {"top": "t1", "left": "l1", "bottom": "whole"}


def test_the_commit_counts_before_the_present_code_and_that_before_the_clock(
    tmp_path: Path,
) -> None:
    old = record("top", "committed", {"numbers": "1"}, git_commit="abc", action_key="1")
    present = record("top", "present", {"numbers": "1"}, code_key="now", action_key="2")
    newest = record("top", "newest", {"numbers": "1"}, made_at="2026-01", action_key="3")
    assert choose(tmp_path, old, present, newest, commit="abc") == {"top": "committed"}
    assert choose(tmp_path, commit="other") == {"top": "present"}
    (tmp_path / ".iip" / "actions" / "top" / "2.json").unlink()
    assert choose(tmp_path, commit="other") == {"top": "newest"}


def test_what_the_point_does_not_know_is_no_difference(tmp_path: Path) -> None:
    """The code that reads a source, a setting that is no more, a field that was added since."""

    class Section(SimpleNamespace):
        def model_dump(self, mode: str) -> dict[str, Any]:
            return vars(self)

    project = project_of(tmp_path)
    inputs = {"numbers": "1", "numbers (reader)": "of then"}
    section = {"seed": 1, "gone": 2}
    project.workspace.actions.add(
        record("top", "t", inputs, settings={"gone.since": 1, "section": section})
    )
    for seed, found in ((1, ["top"]), (3, [])):
        settings = SimpleNamespace(section=Section(seed=seed, added=5))
        assert list(records_at(project, Point({"numbers": "1"}, settings))) == found


def test_inputs_that_ran_the_other_way_once_end_in_no_record_and_no_loop(tmp_path: Path) -> None:
    turned = record("top", "t", {"left": "l"})
    assert choose(tmp_path, turned, record("left", "l", {"top": "t"})) == {}


@pytest.mark.parametrize("damage", [lambda text: text[:50], lambda text: text.replace("t", "u")])
def test_a_damaged_record_is_none(tmp_path: Path, damage: Callable[[str], str]) -> None:
    choose(tmp_path, record("top", "t", {"numbers": "1"}))
    (file,) = (tmp_path / ".iip" / "actions" / "top").iterdir()
    file.write_text(damage(file.read_text()))
    assert choose(tmp_path) == {}


def test_a_record_of_an_older_version_states_no_hash_and_is_read(tmp_path: Path) -> None:
    before = choose(tmp_path, record("top", "t", {"numbers": "1"}))
    (file,) = (tmp_path / ".iip" / "actions" / "top").iterdir()
    fields = json.loads(file.read_text())
    del fields["sha256"]
    file.write_text(json.dumps(fields))
    assert choose(tmp_path) == before != {}
