"""A search over settings, as who trains models goes through it: killed, gone on with, taken up."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.warm import start_warm

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("revert")]

SWEEP = """
model = "segmenter"
sampler = "tpe"
trials = 4
objectives = ["quality", "latency"]
[space]
"segmenter.learning_rate" = { low = 0.001, high = 0.01, log = true }
"segmenter.encoder" = ["test_efficientnet", "test_resnet"]
[fixed]
"segmenter.width" = 64
"segmenter.height" = 32
"""


def trials_of(team: Team) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(team.iip("sweep", "show", "first", "--json").stdout)[
        "trials"
    ]
    return found


def test_a_killed_sweep_goes_on_and_its_best_model_is_taken_up_and_registered(team: Team) -> None:
    (team.root / "first.toml").write_text(SWEEP)
    records = team.root / ".iip" / "actions" / "segmentation_model"
    known = set(records.glob("*.json"))
    nowhere = Path(os.devnull)
    words = ("iip", "sweep", "run", "first.toml")
    process = start_warm(words, cwd=team.root, out=nowhere, err=nowhere, variables={})
    until = time.monotonic() + 300
    while len(set(records.glob("*.json")) - known) < 2 and time.monotonic() < until:
        assert process.is_alive()
        time.sleep(0.05)
    process.kill()
    process.join()
    before = trials_of(team)
    assert len(before) < 4

    team.iip("sweep", "run", "first.toml")
    after = trials_of(team)
    assert [one["number"] for one in after] == [0, 1, 2, 3]
    # What was done before the kill was not done again.
    assert after[: len(before)] == [
        {**was, "best": now["best"]} for was, now in zip(before, after, strict=False)
    ]
    assert len(set(records.glob("*.json")) - known) == 4
    assert {state["state"] for state in team.status().values()} == {"fresh"}

    # A kill may have come after the last trial and before the page.
    page = team.root / ".iip" / "sweeps" / "first.html"
    page.unlink()
    team.iip("sweep", "run", "first.toml")
    assert re.search(r"<t[dh][^>]*>3</t[dh]>", page.read_text())
    assert trials_of(team) == after

    # Its trials are compared, so none is added under other settings.
    settings = (team.root / "iip.toml").read_text()
    (team.root / "iip.toml").write_text(settings.replace("[splits]", '[splits]\nsalt = "other"', 1))
    moved = team.iip("sweep", "run", "first.toml", check=False)
    assert "begun with another splits.salt" in moved.stderr
    (team.root / "iip.toml").write_text(settings)

    best = next(one for one in after if one["best"])
    several = sum(one["best"] for one in after) > 1
    refused = team.iip("sweep", "apply", "first", check=not several)
    assert several == ("choose" in refused.stderr)
    team.iip("sweep", "apply", "first", "--trial", str(best["number"]))
    text = (team.root / "iip.toml").read_text()
    assert "width = 64" in text
    assert "resamples = 50" in text
    found = team.refresh()
    assert "segmentation_model" not in found["computed"]
    assert "predictions" in found["computed"]
    (version,) = json.loads(team.iip("models", "register", "segmenter", "--json").stdout)
    assert len(set(records.glob("*.json")) - known) == 4
    assert version["model"] == "segmenter"


@pytest.mark.parametrize(
    "space",
    ['"filter.learning_rate" = [0.001, 0.01]', '"training.processes" = [1, 2]'],
    ids=["the other model's", "how it is trained"],
)
def test_a_sweep_over_what_the_model_does_not_depend_on_is_refused(team: Team, space: str) -> None:
    (team.root / "idle.toml").write_text(f'model = "segmenter"\n[space]\n{space}\n')
    refused = team.iip("sweep", "run", "idle.toml", check=False)
    assert refused.returncode == 1
    path = space.split('"')[1]
    assert f"the segmenter does not depend on {path}" in refused.stderr
    assert "Traceback" not in refused.stderr
