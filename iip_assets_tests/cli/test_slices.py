"""`iip slices`: listing, accepting and dropping, where nothing has to be computed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import polars as pl
import pytest
from typer.testing import CliRunner

from iip_assets.audit.discovered_slices import SLICES
from iip_assets.cli import slices as verb
from iip_assets.edge_cases.team_slices import FILE, SliceRule, read_slices

DARK = {"where": {"gaze": "off", "lighting": "dark"}}


def slice_row(name, rule, model="filter"):
    numbers = {"n_images": 40, "n_subjects": 21, "error": 0.41, "low": 0.3, "high": 0.5}
    return {
        **{"model": model, "name": name, "rule": json.dumps(rule), "exemplars": ["a"]},
        **numbers,
        **{"rest_error": 0.1, "p": 0.01, "share": 0.05},
    }


FOUND = [
    slice_row("off gaze and dark lighting", DARK),
    slice_row("images like ab", {"like": ["ab"], "within": 0.2}),
    slice_row("images like ab (2)", {"like": ["ab"], "within": 0.3}, "segmenter"),
]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace in which slices were discovered."""
    project = SimpleNamespace(workspace=SimpleNamespace(root=tmp_path))
    monkeypatch.setattr(verb, "open_refresher", lambda: SimpleNamespace(project=project))
    monkeypatch.setattr(verb, "load_last", lambda *_: pl.DataFrame(FOUND, schema=SLICES))
    return tmp_path


def iip(*words):
    return CliRunner().invoke(verb.slices, words, catch_exceptions=False)


def test_an_accepted_slice_stands_in_the_file_with_its_rule(workspace):
    iip("accept", "images like ab (2)")
    (one,) = read_slices(workspace)
    assert one.regression
    assert one.rule == SliceRule(like=("ab",), within=0.3)
    with pytest.raises(ValueError, match=r"is in .*slices\.toml already"):
        iip("accept", "images like ab (2)")


def test_a_name_that_is_none_is_answered_with_the_nearest(workspace):
    with pytest.raises(LookupError, match="did you mean off gaze and dark lighting"):
        iip("accept", "off gaze, dark lighting")
    assert not (workspace / FILE).exists()


def test_the_list_has_what_is_discovered_and_what_of_it_is_accepted(workspace):
    iip("accept", "off gaze and dark lighting")
    found = json.loads(iip("--json").stdout)
    assert [one["name"] for one in found] == [one["name"] for one in FOUND]
    assert [one["accepted"] for one in found] == [True, False, False]
    assert found[0]["rule"] == DARK
    assert "0.410" in iip().stdout
