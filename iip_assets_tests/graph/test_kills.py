"""Whoever is killed at whatever moment: nothing is lost, nothing is computed twice.

`benchmarks/kills.py` does this at many moments.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.killed_ingest import (
    BATCH,
    UndisturbedIngest,
    drop_batch,
    ingest_undisturbed,
    kill_ingest,
)
from iip_assets_tests.graph.killed_refresh import (
    Undisturbed,
    change_data,
    differences,
    kill_refresh,
    read_content,
    refresh_undisturbed,
)
from iip_assets_tests.graph.killing import Moment, copy_workspace
from iip_assets_tests.graph.warm import start_warm

pytestmark = pytest.mark.slow

# Per-image work, tables, figures and a model, without the libraries that take long to load.
ASSETS = ("lighting_stats", "background_stats", "demographic_stats", "iris_filter_model")


@pytest.fixture(scope="module")
def refreshed(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("refreshed")
    start = copy_workspace(team.root, folder / "start")
    change_data(start, images=10)
    return refresh_undisturbed(start.root, folder / "example", ("refresh", *ASSETS))


@pytest.fixture(scope="module")
def ingested(team: Team, tmp_path_factory: pytest.TempPathFactory) -> UndisturbedIngest:
    folder = tmp_path_factory.mktemp("ingested")
    start = copy_workspace(team.root, folder / "start")
    drop_batch(start)
    return ingest_undisturbed(start.root, folder / "example")


@pytest.mark.parametrize(
    ("share", "event", "count"),
    [
        pytest.param(0.9, None, 1, id="late in the run", marks=pytest.mark.exhaustive),
        pytest.param(0.0, ".iip/features/*.lance/data/*", 1, id="with rows of an unfinished asset"),
        pytest.param(
            *(0.0, ".iip/artifacts/*/*", 4),
            id="with an artifact that has no record",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_a_killed_refresh_is_taken_up_where_it_was(
    share: float, event: str | None, count: int, refreshed: Undisturbed, tmp_path: Path
) -> None:
    moment = Moment(share * refreshed.seconds, event, count)
    assert kill_refresh(refreshed, tmp_path / "killed", moment).faults == ()


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(f"data/batches/{BATCH}", id="moved into the data"),
        pytest.param(".iip/ingest/*/index", id="committed", marks=pytest.mark.exhaustive),
    ],
)
def test_a_killed_ingest_has_the_batch_whole_or_not_at_all(
    event: str, ingested: UndisturbedIngest, tmp_path: Path
) -> None:
    assert kill_ingest(ingested, tmp_path / "killed", Moment(0.0, event)).faults == ()


def test_two_refreshes_started_together_end_as_one(refreshed: Undisturbed, tmp_path: Path) -> None:
    team = copy_workspace(refreshed.start, tmp_path / "both")
    refresh = ("iip", *refreshed.words, "--json")
    told = [json.loads(out)["computed"] for out, _ in run_together(team, refresh, refresh)]
    assert sorted([*told[0], *told[1]]) == sorted(refreshed.order)
    assert differences(refreshed.content, read_content(team.root)) == []


@pytest.mark.exhaustive
def test_a_refresh_and_a_run_of_dagster_started_together_end_as_one(
    refreshed: Undisturbed, tmp_path: Path
) -> None:
    team = copy_workspace(refreshed.start, tmp_path / "both")
    selection = ",".join(refreshed.order)
    of_dagster = ("asset", "materialize", "-m", "iip_assets.definitions", "--select", selection)
    (out, _), (_, log) = run_together(
        team, ("iip", *refreshed.words, "--json"), ("dagster", *of_dagster)
    )
    told = json.loads(out)["computed"]
    computed = re.findall(r"(\w+): computed in", log)
    assert sorted([*told, *computed]) == sorted(refreshed.order)
    assert differences(refreshed.content, read_content(team.root)) == []


def run_together(team: Team, *commands: Sequence[str]) -> list[tuple[str, str]]:
    """Starts the commands at once; what each wrote to stdout and to stderr."""
    home = {"DAGSTER_HOME": str(team.root / ".iip" / "dagster")}
    files = [(team.root.parent / f"{n}.out", team.root.parent / f"{n}.err") for n in range(2)]
    started = [
        start_warm(command, cwd=team.root, out=out, err=err, variables=home)
        for command, (out, err) in zip(commands, files, strict=True)
    ]
    for process, (_, err) in zip(started, files, strict=True):
        process.join()
        assert process.exitcode == 0, err.read_text()[-3000:]
    return [(out.read_text(), err.read_text()) for out, err in files]
