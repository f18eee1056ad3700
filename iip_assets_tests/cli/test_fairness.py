"""`iip fairness`: what it lists, and what a choice writes into iip.toml."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from iip_assets.cli import fairness as verb
from iip_assets.settings import GroupPair, Settings
from iip_assets.settings_file import default_text, read_settings
from iip_assets_tests.report.samples import tradeoff_tables


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A new workspace in which remedies were tried."""
    (tmp_path / "iip.toml").write_text(default_text())
    workspace = SimpleNamespace(root=tmp_path, read_settings=read_settings)
    refresher = SimpleNamespace(project=SimpleNamespace(workspace=workspace))
    monkeypatch.setattr(verb, "open_refresher", lambda: refresher)
    monkeypatch.setattr(verb, "load_last", lambda *_: tradeoff_tables())
    return tmp_path


def iip(*words):
    return CliRunner().invoke(verb.fairness, words, catch_exceptions=False)


def test_the_list_has_each_remedy_with_its_price(workspace):
    found = json.loads(iip("--json").stdout)
    assert [row["remedy"] for row in found] == tradeoff_tables()["tradeoff"]["remedy"].to_list()
    assert "0.900" in iip().stdout


def test_mindiff_is_written_with_its_pairs_and_read_again(workspace):
    said = iip("choose", "mindiff", "--strength", "0.3", "--why", "half the gap").stderr
    assert "filter_remedy.weight = 0.3 (was 1.0)" in said
    remedy = read_settings(workspace).filter_remedy
    assert (remedy.method, remedy.weight, remedy.reason) == ("mindiff", 0.3, "half the gap")
    assert remedy.pairs == (GroupPair(axis="ethnicity", group="black"),)
    others = read_settings(workspace).model_dump(exclude={"filter_remedy", "compute"})
    assert others == Settings().model_dump(exclude={"filter_remedy", "compute"})


def test_a_rate_constraint_is_written_with_a_floor_for_each_group(workspace):
    iip("choose", "rate_constraint", "--why", "no group below nine of ten")
    remedy = read_settings(workspace).filter_remedy
    assert remedy.recall == {"ethnicity": {"black": 0.9, "white": 0.9}}
    iip("choose", "none", "--why", "it cost too much")
    assert read_settings(workspace).filter_remedy.method == "none"
    iip("choose", "mindiff", "--model", "segmenter", "--strength", "1", "--why", "for its eyes")
    chosen = read_settings(workspace)
    assert chosen.filter_remedy.reason == "it cost too much"
    segmenter = chosen.segmenter_remedy
    assert (segmenter.method, segmenter.weight) == ("mindiff", 1.0)
    assert segmenter.reason == "for its eyes"


def test_weights_are_written_as_the_balance_of_the_training_set(workspace):
    iip("choose", "weights", "--why", "they are enough")
    chosen = read_settings(workspace)
    assert chosen.filter_remedy.method == "none"
    balance = chosen.training_set
    assert (balance.axes, balance.max_weight, balance.by) == (("ethnicity",), 5.0, "weights")


def test_what_is_measured_in_images_is_not_balanced_by(workspace):
    text = (workspace / "iip.toml").read_text()
    (workspace / "iip.toml").write_text(text.replace('axis = "ethnicity"', 'axis = "skin_tone"'))
    with pytest.raises(ValueError, match="cannot balance skin_tone"):
        iip("choose", "weights", "--why", "they are enough")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["threshold_optimizer"], "it asks for the group of each image"),
        (["reductions"], "a mixture of logistic regressions"),
        (["mindif"], "did you mean mindiff"),
        (["mindiff"], "was tried with --strength 0.3 or 1"),
        (["mindiff", "--strength", "7"], "was tried with --strength 0.3 or 1"),
    ],
    ids=["asks for groups", "mixture", "no remedy", "which", "not tried"],
)
def test_what_cannot_be_chosen_is_refused_and_writes_nothing(workspace, words, reason):
    with pytest.raises((LookupError, ValueError), match=reason):
        iip("choose", *words, "--why", "x")
    assert (workspace / "iip.toml").read_text() == default_text()
