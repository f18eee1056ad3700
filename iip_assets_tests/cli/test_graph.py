"""What `iip refresh` tells a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from iip_assets.cli import graph
from iip_assets.engine.dagster.refresh import Refreshed, summarise
from iip_assets.engine.outcomes import Outcome
from iip_assets.engine.pages import report_page
from iip_assets.engine.staleness import State
from iip_assets_tests.engine.stand_ins import DictEvents


def done(**changes: Any) -> Refreshed:
    nothing: dict[str, Any] = {
        **dict.fromkeys(("computed", "described", "reused"), ()),
        **{name: {} for name in ("images", "failed", "blocked", "skipped")},
    }
    return Refreshed(**{**nothing, "seconds": 3.0, "run_id": None, **changes})


def told(result: Refreshed, root: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    graph._print_refreshed(root, result, DictEvents())
    return " ".join(capsys.readouterr().out.split()).split(" Dagster UI: iip ui")


@pytest.fixture(autouse=True)
def old_headline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The evaluation that stands says something."""
    row = {"model": "filter", "metric": "f1_macro", "value": 0.5, "n_images": 9}
    monkeypatch.setattr(graph, "_headline", lambda *_: [row])


def test_an_error_stands_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"failed": {"b": "KeyError: 'x' (in f, y.py:3)"}, "blocked": {"c": "b failed"}}
    _, last = told(done(computed=("a",), **words), tmp_path, capsys)
    assert last.strip() == "c blocked: b failed b failed: KeyError: 'x' (in f, y.py:3)"


def test_what_was_skipped_counts_as_such_and_stands_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = {"b": "no label", "c": "no label", "d": "no mask"}
    first, _ = told(done(computed=("a",), skipped=skipped), tmp_path, capsys)
    assert "Computed 1 asset in 3 s, reused 0, skipped 3." in first
    assert "b, c skipped: no label d skipped: no mask" in first


def test_numbers_of_an_evaluation_that_is_not_up_to_date_are_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "model_evaluation"
    assert "Held-out subjects" in told(done(reused=(name,)), tmp_path, capsys)[0]
    failed = {"failed": {"predictions": "boom"}}
    assert "Held-out subjects" not in told(done(computed=("a",), **failed), tmp_path, capsys)[0]


def test_a_skipped_asset_is_neither_computed_nor_reused() -> None:
    fresh, skipped = State("fresh"), State("fresh", skipped="no label")
    ran = Outcome(record=_Record(), reused=False, seconds=1.0)
    states = {"a": fresh, "b": skipped, "c": fresh, "d": skipped}
    found = summarise(states, {"a": ran, "b": ran}, {}, 1.0, None)
    assert (found.computed, found.reused) == (("a",), ("c",))
    assert found.skipped == {"b": "no label", "d": "no label"}


def test_what_fails_now_is_not_told_as_skipped_before() -> None:
    states = {"a": State("failed", skipped="no image"), "b": State("stale", skipped="no image")}
    found = summarise(states, {}, {"b": "ValueError: no"}, 1.0, None)
    assert (found.skipped, found.failed.keys()) == ({}, {"a", "b"})


def test_a_report_that_is_older_than_the_data_is_said_to_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = report_page(tmp_path / ".iip", "pipeline_report")
    page.parent.mkdir(parents=True)
    page.touch()
    for due in (True, False):
        graph._print_refreshed(tmp_path, done(), DictEvents(), report_due=due)
        assert (f"{page} (out of date: `iip refresh`)\n" in capsys.readouterr().out) is due


@pytest.mark.parametrize(
    ("edited", "words"),
    [
        (["LABELING.md"], "data/LABELING.md`"),
        (
            ["batches/a b.csv", "LABELING.md"],
            "'data/batches/a b.csv' data/LABELING.md`",
        ),
        (list("abcdefg"), "data/a data/b data/c data/d data/e`, then so the others"),
    ],
    ids=["one", "two", "many"],
)
def test_the_command_for_edited_files_is_on_them_and_not_on_a_folder_in_which_images_may_lack(
    edited: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(graph, "edited_files", lambda _: edited)
    graph._print_edited(tmp_path)
    *_, take, undo = capsys.readouterr().out.splitlines()
    assert f"`dvc add {words}" in take
    assert f"`dvc checkout --force {words}" in undo


class _Record:
    """Of an asset that does not work image by image."""

    images_computed = images_reused = 0
