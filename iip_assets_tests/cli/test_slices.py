"""`iip slices`: listing, accepting and dropping, where nothing has to be computed."""

from __future__ import annotations

import json
from types import SimpleNamespace

import polars as pl
import pytest
from typer.testing import CliRunner

from iip_assets.audit.discovered_slices import SLICES
from iip_assets.cli import slices as verb
from iip_assets.edge_cases.team_slices import FILE, read_slices
from iip_assets.evaluation.evaluation import METRICS_SCHEMA

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
    slice_row("images like ab", {"like": ["ab"], "within": 0.3}, "segmenter"),
]
METRIC = ("filter", "f1_macro", "regression", "off gaze and dark lighting", 0.61, 0.5, 0.7)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace in which slices were discovered, and one was evaluated."""
    values = {
        "discovered_slices": {"slices": pl.DataFrame(FOUND, schema=SLICES)},
        "model_evaluation": {
            "metrics": pl.DataFrame(
                [(*METRIC, 12, 9, True, None)], schema=METRICS_SCHEMA, orient="row"
            )
        },
    }

    def load(name, _):
        if name not in values:
            raise LookupError(name)
        return values[name]

    project = SimpleNamespace(workspace=SimpleNamespace(root=tmp_path), load=load)
    refresher = SimpleNamespace(project=project, events=lambda: None)
    monkeypatch.setattr(verb, "open_refresher", lambda: refresher)
    monkeypatch.setattr(verb, "find_workspace", lambda: tmp_path)
    return SimpleNamespace(root=tmp_path, values=values)


def iip(*words):
    return CliRunner().invoke(verb.slices, words, catch_exceptions=False)


def test_an_accepted_slice_stands_in_the_file_with_its_rule_until_it_is_dropped(workspace):
    iip("accept", "off gaze and dark lighting")
    (one,) = read_slices(workspace.root)
    assert one.regression
    assert one.rule.to_dict() == DARK
    with pytest.raises(Exception, match=r"is in slices\.toml already"):
        iip("accept", "off gaze and dark lighting")
    iip("drop", "off gaze and dark lighting")
    assert read_slices(workspace.root) == ()


def test_a_name_that_is_none_is_answered_with_the_nearest(workspace):
    with pytest.raises(Exception, match="did you mean off gaze and dark lighting"):
        iip("accept", "off gaze, dark lighting")
    assert not (workspace.root / FILE).exists()


def test_a_name_that_each_model_has_for_itself_asks_for_the_model(workspace):
    with pytest.raises(Exception, match="add --model"):
        iip("accept", "images like ab")
    iip("accept", "images like ab", "--model", "segmenter")
    assert read_slices(workspace.root)[0].rule.within == 0.3


def test_the_list_has_what_is_discovered_and_how_models_do_on_what_is_accepted(workspace):
    iip("accept", "off gaze and dark lighting")
    found = json.loads(iip("--json").stdout)
    assert [one["name"] for one in found["discovered"]] == [one["name"] for one in FOUND]
    (accepted,) = found["accepted"]
    assert (accepted["model"], accepted["value"], accepted["n_images"]) == ("filter", 0.61, 12)
    shown = iip().stdout
    assert "0.410" in shown
    assert "0.610" in shown


def test_before_anything_is_computed_the_list_says_what_to_do(workspace):
    workspace.values.clear()
    shown = iip()
    assert "iip refresh discovered_slices" in shown.output
    with pytest.raises(Exception, match="no slice is discovered"):
        iip("accept", "anything")
