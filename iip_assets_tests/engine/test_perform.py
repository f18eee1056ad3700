"""What an action records is what its key says, whatever moves meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from iip_assets.engine.asset import asset
from iip_assets.engine.context import AssetContext
from iip_assets.engine.graph import Graph, Source
from iip_assets.engine.outcomes import Outcome
from iip_assets.engine.pages import report_page
from iip_assets.engine.perform import MovedMeanwhileError, Performer
from iip_assets.engine.project import Project
from iip_assets.engine.staleness import find_states
from iip_assets.engine.values import PROVENANCE_MARK, Report, Skipped
from iip_assets.engine.workspace import Workspace
from iip_assets_tests.engine.stand_ins import DictEvents, Keys
from iip_assets_tests.git import git

numbers = Source(
    "numbers",
    "toy",
    "Numbers.",
    lambda root: (root / "numbers").read_text(),
    lambda _, version: [int(part) for part in version.split()],
)


@asset(room="toy")
def total(numbers: list[int]) -> dict[str, Any]:
    return {"value": sum(numbers)}


@asset(room="toy")
def page(total: dict[str, Any]) -> Report | Skipped:
    if total["value"] > 10:
        return Skipped("no small numbers")
    return Report(f"<h1>page</h1>{PROVENANCE_MARK}", dict(total))


def measure(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if EDIT_WHILE_MEASURING:
        EDIT_WHILE_MEASURING.pop()()
    return [{"length": len(record["image_id"])} for record in records]


EDIT_WHILE_MEASURING: list[Any] = []


@asset(room="toy")
def lengths(total: dict[str, Any], *, context: AssetContext) -> pl.DataFrame:
    rows = pl.DataFrame({"image_id": ["a", "bb", "ccc"]})
    return context.fill("lengths", rows, measure, chunk=1).frame


class Toy:
    """Three assets performed one by one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keys = Keys()
        self.events = DictEvents()
        workspace = Workspace(root, lambda _: SimpleNamespace())
        self.project = Project(Graph([total, page, lengths], [numbers]), workspace, self.keys)
        self.write("1 2 3")

    def write(self, text: str) -> None:
        (self.root / "numbers").write_text(text)

    def perform(self, *assets: Any, loaded: object = None, force: Sequence[str] = ()) -> Outcome:
        performer = Performer(self.project, self.events, lambda _: None, force=force)
        for one in assets:
            code = loaded or self.project.code_of(one)
            outcome = performer.perform(one, loaded=code)
            self.events.made[one.name] = outcome.materialized
        return outcome

    def states(self) -> dict[str, str]:
        return {name: state.state for name, state in find_states(self.project, self.events).items()}


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_a_page_tells_its_commit_and_data_also_where_the_same_numbers_hold_for_others(
    toy: Toy,
) -> None:
    file = report_page(toy.project.workspace.state, "page")
    made = toy.perform(total, page)
    text = file.read_text()
    assert f"UTC, not under git, data version 1 2 3, workspace {toy.root.name}." in text
    assert "hold unchanged" not in text
    git(toy.root, "init", "--quiet")
    git(toy.root, "add", "numbers")
    git(toy.root, "commit", "--quiet", "--message", "Begin")
    toy.write("3 2 1")
    again = toy.perform(total, page)
    assert again.reused
    assert again.record == made.record
    text, commit = file.read_text(), git(toy.root, "rev-parse", "HEAD").strip()
    assert f"commit {commit[:12]} with changes, data version 3 2 1" in text
    assert text.endswith("not under git, and hold unchanged.")


def test_the_page_of_a_report_that_came_to_be_skipped_is_taken_away(toy: Toy) -> None:
    toy.perform(total, page)
    assert report_page(toy.project.workspace.state, "page").exists()
    toy.write("11")
    toy.perform(total, page)
    assert not report_page(toy.project.workspace.state, "page").exists()
    toy.write("1 2 3")
    toy.perform(total, page)
    assert report_page(toy.project.workspace.state, "page").exists()


def test_code_that_moves_while_images_are_measured_leaves_no_row_behind(toy: Toy) -> None:
    """A row computed by old code must never be found under the key of new code."""
    toy.perform(total)
    EDIT_WHILE_MEASURING.append(lambda: toy.keys.code.update(lengths="second", measure="second"))
    with pytest.raises(MovedMeanwhileError, match="lengths changed while it ran"):
        toy.perform(lengths)
    outcome = toy.perform(lengths)
    assert (outcome.record.images_computed, outcome.record.images_reused) == (3, 0)


def test_a_moved_run_is_no_failure_of_the_asset(toy: Toy) -> None:
    toy.perform(total)
    EDIT_WHILE_MEASURING.append(lambda: toy.keys.code.update(lengths="second"))
    with pytest.raises(MovedMeanwhileError):
        toy.perform(lengths)
    toy.keys.code.clear()
    assert toy.states()["lengths"] == "missing"


def test_a_loader_edited_since_the_process_began_is_not_taken_for_the_new_one(toy: Toy) -> None:
    loaded = toy.project.code_of(total)
    toy.keys.code[numbers.load.__name__] = "second"
    with pytest.raises(MovedMeanwhileError, match="since this process loaded it"):
        toy.perform(total, loaded=loaded)


def test_a_source_is_read_at_the_version_in_the_key(toy: Toy) -> None:
    """Another process may observe a newer version between the key and the load."""
    toy.events.observed = lambda _: "100"
    outcome = toy.perform(total)
    assert toy.project.workspace.artifacts.get(outcome.record.artifact) == {"value": 6}


def test_a_record_of_another_value_than_the_materialized_one_does_not_count(toy: Toy) -> None:
    """Its artifact was gone, it was made again with another value, and a kill came in between."""
    record = toy.perform(total).record
    other = toy.project.workspace.artifacts.put({"value": 7})
    toy.project.workspace.actions.add(replace(record, artifact=other))
    assert toy.states()["total"] == "missing"
    toy.perform(total)
    assert toy.states()["total"] == "fresh"
    assert toy.project.load("total", toy.events) == {"value": 7}
