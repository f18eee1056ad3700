"""The short look says "nothing is due" only while that must be true; any surprise ends it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iip_assets.engine.noop_cache import read_noop_cache
from iip_assets_tests.engine.toy import Pieces, Toy, press_materialize, refresh


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A toy in which nothing is due."""
    made = Toy(tmp_path_factory.mktemp("toy"))
    made.write(Pieces())
    made.run(refresh)
    return made


@pytest.fixture
def toy(cached: Toy) -> Toy:
    """The same, and looked at since whatever the test before did to it."""
    cached.write(Pieces())
    cached.run(refresh)
    return cached


def is_settled(refresher: Any) -> bool:
    return read_noop_cache(refresher.project.workspace.root) is not None


def shown(refresher: Any) -> Any:
    found = read_noop_cache(refresher.project.workspace.root)
    assert found is not None
    return {name: state.state for name, state in found.states().items()}, found.rooms


def test_it_holds_while_nothing_moves_and_says_how_every_asset_stands(toy: Toy) -> None:
    assert toy.run(is_settled)
    states, rooms = toy.run(shown)
    assert states == dict.fromkeys("abcdefgh", "fresh")
    assert set(rooms.values()) == {"toy"}


def one_file(toy: Toy, pattern: str) -> Path:
    return sorted((toy.root / ".iip").glob(pattern))[0]


def touch_code(toy: Toy) -> None:
    os.utime(toy.code / "toy" / "base.py")


def add_code(toy: Toy) -> None:
    (toy.code / "toy" / "more.py").write_text("")


def truncate_record(toy: Toy) -> None:
    file = one_file(toy, "actions/d/*.json")
    file.write_text(file.read_text()[:40])


def cut_the_look(toy: Toy) -> None:
    file = toy.root / ".iip" / "events.json"
    file.write_text(file.read_text()[:-20])


def edit_the_look(toy: Toy) -> None:
    file = toy.root / ".iip" / "events.json"
    file.write_text(file.read_text().replace('"fresh"', '"Fresh"', 1))


def empty_the_look(toy: Toy) -> None:
    (toy.root / ".iip" / "events.json").write_text(json.dumps([]))


SURPRISES: dict[str, Callable[[Toy], object]] = {
    "a setting is edited": lambda toy: toy.write(Pieces(threshold=999)),
    "the data moved": lambda toy: toy.write(Pieces(numbers="4 5")),
    "the data is gone": lambda toy: (toy.root / "numbers").unlink(),
    "code is edited": lambda toy: toy.write(Pieces(factor=3)),
    "code is touched": touch_code,
    "code is added": add_code,
    "an artifact is deleted": lambda toy: one_file(toy, "artifacts/*/*").unlink(),
    "a record is deleted": lambda toy: one_file(toy, "actions/d/*.json").unlink(),
    "a record is cut short": truncate_record,
    "someone materialized in the UI": lambda toy: toy.run(press_materialize(["a"])),
    "the look is cut short": cut_the_look,
    "a letter of the look is another": edit_the_look,
    "the look is no look": empty_the_look,
}


@pytest.mark.parametrize("surprise", SURPRISES.values(), ids=SURPRISES.keys())
def test_a_surprise_leads_to_the_long_way(toy: Toy, surprise: Callable[[Toy], object]) -> None:
    surprise(toy)
    assert not toy.run(is_settled)


def test_a_variable_over_the_settings_is_a_surprise(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IIP_TOY__THRESHOLD", "7")
    assert not toy.run(is_settled)
    monkeypatch.delenv("IIP_TOY__THRESHOLD")
    assert toy.run(is_settled)


def test_no_variable_stands_in_a_state_file(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IIP_ALARMS__WEBHOOK", "https://hooks.example.org/services/abc123")
    toy.run(refresh)
    toy.run(refresh)
    files = [file for file in (toy.root / ".iip").rglob("*") if file.is_file()]
    assert toy.root / ".iip" / "events.json" in files
    assert [file for file in files if b"abc123" in file.read_bytes()] == []


def test_a_package_installed_or_removed_is_a_surprise(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    installed.mkdir()
    monkeypatch.syspath_prepend(str(installed))
    toy.run(refresh)
    assert toy.run(is_settled)
    (installed / "new-1.0.dist-info").mkdir()
    assert not toy.run(is_settled)


def test_a_graph_with_something_due_is_never_settled(toy: Toy) -> None:
    toy.write(Pieces(boom=True))
    assert toy.run(refresh)["failed"]
    assert not toy.run(is_settled)
