"""Every data set gets its report: what cannot be made is skipped, for a reason that is true."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from iip_assets.graph import GRAPH
from iip_assets.models.tasks import TASKS
from iip_assets_tests.graph import computed_shapes
from iip_assets_tests.graph.computed_shapes import decisive_inputs, found_of, matrix, roots
from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.shapes import NO_SEGMENTERS, NOTHING_PROMISED, SHAPES, WHOLE
from iip_assets_tests.graph.warm import run_warm
from iip_assets_tests.once import made_once

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All shapes, computed."""

    def make(folder: Path) -> None:
        done = run_warm((computed_shapes.__file__, str(folder)), cwd=folder, variables={})
        assert done.returncode == 0, done.stderr

    return made_once(tmp_path_factory, "shapes", make)


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def found(made: Path, shape: str) -> dict[str, Any]:
    return found_of(made, shape)


def test_no_asset_fails(found: dict[str, Any]) -> None:
    assert (found["failed"], found["blocked"]) == ({}, {})
    assert found["typed"]["refresh"]["code"] == 0
    made = {*found["computed"], *found["reused"], *found["skipped"]}
    assert made == GRAPH.assets.keys()


def test_a_second_refresh_computes_nothing(found: dict[str, Any]) -> None:
    assert "Nothing had to be computed" in found["typed"]["again"]["out"]


def test_what_was_skipped_has_the_reason_that_is_true_of_the_data(
    found: dict[str, Any], shape: str
) -> None:
    skipped = {**NOTHING_PROMISED, **SHAPES[shape].skipped}
    if "segmenter_examples" not in found["skipped"]:
        skipped |= NO_SEGMENTERS
    assert roots(found["skipped"]) == skipped


def test_what_lies_below_gives_the_reasons_of_what_was_skipped_above(
    found: dict[str, Any],
) -> None:
    skipped = found["skipped"]
    why = dict.fromkeys(skipped[task.asset] for task in TASKS.values() if task.asset in skipped)
    for name in skipped.keys() - roots(skipped).keys():
        above = {skipped.get(one) for one in decisive_inputs(name)}
        own = dict.fromkeys(skipped[one] for one in GRAPH.assets[name].inputs if one in skipped)
        models = {f"there is no model: {'; '.join(reasons)}" for reasons in (why, own)}
        assert skipped[name] in above | models


def test_the_page_says_what_was_skipped_and_why(
    made: Path, found: dict[str, Any], shape: str
) -> None:
    page = (made / shape / ".iip" / "reports" / "pipeline_report.html").read_text()
    for name in GRAPH.assets["pipeline_report"].inputs:
        if reason := found["skipped"].get(name):
            assert reason in page
            assert name in page


def test_a_check_that_had_nothing_to_look_at_did_not_pass(found: dict[str, Any]) -> None:
    checks = found["checks"]
    for name in found["skipped"]:
        assert {check["passed"] for check in checks[name]} <= {None}
    if not any(found["images"].values()):
        for name in ("image_statistics", "image_embeddings"):
            assert {check["passed"] for check in checks[name]} == {None}
    baselines = {check["name"]: check["passed"] for check in checks["model_evaluation"]}
    for name, task in TASKS.items():
        if task.asset in found["skipped"]:
            assert baselines[f"{name}_beats_baseline"] is None
        else:
            starts = {check["name"]: check["passed"] for check in checks[task.asset]}
            assert starts["training_starts_sound"] is None


@pytest.mark.parametrize("name", ["empty workspace", "images only", "one subject, held out"])
@pytest.mark.parametrize("verb", ["predict", "register"])
def test_predict_and_register_say_why_there_is_no_model(made: Path, name: str, verb: str) -> None:
    found = found_of(made, name)
    said = found["typed"][verb]
    assert said["code"] == 1
    assert found["skipped"]["iris_filter_model"] in said["err"]
    assert "Traceback" not in said["err"]


def test_with_everything_there_is_every_asset_that_one_batch_can_give(made: Path) -> None:
    assert found_of(made, WHOLE)["skipped"].keys() == {
        *("drift_history", "batch_trials", "batch_verdict", "kept_promises", "labeling_priorities"),
        *("fairness_tradeoff", "group_holdout", "drift_forecast"),
        *NOTHING_PROMISED,
        *NO_SEGMENTERS,
    }
    two = found_of(made, "two batches")["skipped"].keys()
    asked = {*NOTHING_PROMISED, *NO_SEGMENTERS}
    assert two == {"labeling_priorities", "fairness_tradeoff", "group_holdout", *asked}


def test_the_matrix_shows_each_asset_with_each_shape(made: Path) -> None:
    shown = matrix(made, list(SHAPES))
    sys.stdout.write(shown)
    rows = [line.split() for line in shown.splitlines() if line.split(" ")[0] in GRAPH.assets]
    assert [row[0] for row in rows] == list(GRAPH.assets)
    assert {len(row) for row in rows} == {len(SHAPES) + 1}


def test_an_empty_workspace_is_a_state_and_no_failure(made: Path, tmp_path: Path) -> None:
    """As `iip init` leaves it: by the command itself, with Dagster."""
    checks = found_of(made, "empty workspace")["checks"].values()
    assert all(check["passed"] is not False for found in checks for check in found)
    team = Team(shutil.copytree(made / "template", tmp_path / "workspace", symlinks=True))
    done = team.refresh()
    assert done["blocked"] == {}
    assert done["skipped"] == found_of(made, "empty workspace")["skipped"]
    assert team.due() == {}
