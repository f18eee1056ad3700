"""With Dagster running, a dropped batch is in the data and in every asset without a click.

The acts follow one another in one workspace: a batch, the same again, a bad one, data that goes
back; then the sensors are stopped and a person presses the buttons.
"""

from __future__ import annotations

import csv
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.automation.webhook import Webhook, webhook_server
from iip_assets_tests.graph.conftest import Team, copied_team
from iip_assets_tests.graph.page import NODES, SELECTOR, Page, dagster_dev

pytestmark = [pytest.mark.slow]

BATCH = "2031-05-clinic"
RUNS = """
{
  runsOrError(limit: 50) {
    ... on Runs { results { runId status jobName tags { key value } } }
  }
}
"""
TICK = """
query ($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) {
    ... on Sensor { sensorState { id status ticks(limit: 1) { tickId status timestamp } } }
  }
}
"""
STOP = "mutation ($id: String) { stopSensor(id: $id) { __typename } }"
MADE = """
{ assetNodes { assetKey { path } assetMaterializations(limit: 1) { runId timestamp } } }
"""
SENSORS = {
    "labeled_batch_sensor",
    "dvc_data_sensor",
    "alarm_sensor",
    "run_failure_alarm_sensor",
}


@dataclass(frozen=True)
class Run:
    """A run as the page lists it."""

    job: str
    status: str
    tags: dict[str, str]
    run_id: str


@dataclass(frozen=True)
class Office:
    """A workspace in which Dagster runs, and the webhook that its alarms go to."""

    team: Team
    page: Page
    hook: Webhook

    def runs(self, job: str) -> list[Run]:
        """The runs of a job, newest first."""
        found = self.page.ask(RUNS)["runsOrError"]["results"]
        return [
            Run(
                one["jobName"],
                one["status"],
                {tag["key"]: tag["value"] for tag in one["tags"]},
                one["runId"],
            )
            for one in found
            if one["jobName"] == job
        ]

    def made(self) -> dict[str, Any]:
        """For each asset, its latest materialization."""
        return {
            node["assetKey"]["path"][0]: node["assetMaterializations"]
            for node in self.page.ask(MADE)["assetNodes"]
        }

    def tick(self, sensor: str) -> Any:
        selector = {**SELECTOR, "sensorName": sensor}
        return self.page.ask(TICK, sensor=selector)["sensorOrError"]["sensorState"]

    def stop_sensors(self) -> None:
        def stopped() -> bool:
            states = [self.tick(name) for name in SENSORS]
            running = [state for state in states if state["status"] != "STOPPED"]
            for state in running:
                self.page.ask(STOP, id=state["id"])
            # One that looks just now ends first, and may then say that it runs.
            looking = [state for state in states if state["ticks"][0]["status"] == "STARTED"]
            return not running and not looking

        until(stopped)

    def another_look(self, sensor: str) -> None:
        """Waits until a sensor has looked, from beginning to end, since now."""
        now = time.time()

        def looked() -> bool:
            last = self.tick(sensor)["ticks"][0]
            return last["timestamp"] > now and last["status"] in ("SKIPPED", "SUCCESS")

        until(looked)

    def cached(self) -> bool:
        """Whether every asset is fresh and nothing runs."""
        runs = self.runs("refresh")
        if any(run.status not in ("SUCCESS", "FAILURE", "CANCELED") for run in runs):
            return False
        return {state["state"] for state in self.team.status().values()} == {"fresh"}

    def head(self) -> str:
        return self.team.git("rev-parse", "HEAD")

    def drop(self, folder: Path, name: str) -> None:
        """Copies a batch into the inbox, READY last."""
        target = self.team.root / "inbox" / name
        shutil.copytree(folder, target, ignore=shutil.ignore_patterns("READY"))
        (target / "READY").touch()

    def taken(self, name: str, runs_before: int, *, status: str = "SUCCESS") -> Run:
        """The run that took a dropped batch, or sent it back, once it is over."""
        until(lambda: not (self.team.root / "inbox" / name).exists())
        until(lambda: len(self.runs("ingest")) > runs_before)
        until(lambda: self.runs("ingest")[0].status in ("SUCCESS", "FAILURE"))
        run = self.runs("ingest")[0]
        assert (run.status, run.tags["iip/batch"]) == (status, name)
        return run


def until(happened: Callable[[], bool], *, within_s: float = 900) -> None:
    """Waits; the limit is for what never happens, also on a machine that has other work."""
    end = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten eyes that nobody has seen."""
    out = tmp_path_factory.mktemp("batch")
    write_dataset(out, images=10, seed=77, batches=1, truth=out / "truth.csv")
    return next(path for path in out.iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def office(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    team = copied_team(untouched, tmp_path_factory.mktemp("office") / "workspace")
    team.git("config", "user.name", "Test")
    team.git("config", "user.email", "test@example.org")
    with webhook_server() as hook:
        variables = {"IIP_AUTOMATION__INTERVAL_S": "5", "IIP_ALARMS__WEBHOOK": hook.url}
        with dagster_dev(team.root, variables) as page:
            yield Office(team, page, hook)


def test_the_sensors_run_from_the_start(office: Office) -> None:
    assert {office.tick(name)["status"] for name in SENSORS} == {"RUNNING"}


def test_every_asset_stands_in_its_room(office: Office) -> None:
    nodes = office.page.ask(NODES)["assetNodes"]
    groups = {node["assetKey"]["path"][0]: node["groupName"] for node in nodes}
    sources = {"dvc_data", "challenge_file", "iris_landmark_file", "slices_file"}
    sources |= {"model_registry", "prediction_log"}
    assert set(groups) == {*sources, *office.team.status()}
    assert groups["dvc_data"] == "dataset"
    assert groups["drift_report"] == "drift"


def test_a_dropped_batch_is_committed_and_computed_without_a_click(
    office: Office, batch: Path
) -> None:
    head, before = office.head(), office.made()
    office.drop(batch, BATCH)
    run = office.taken(BATCH, 0)
    assert run.tags["iip/verdict"] == "taken"
    until(office.cached)

    assert office.team.git("rev-parse", "HEAD~1") == head
    assert BATCH in office.team.git("log", "-1", "--format=%s")
    assert office.team.git("diff", "--name-only", "HEAD~1") == "data.dvc"
    assert office.team.git("status", "--porcelain", "--untracked-files=no") == ""

    refreshes = office.runs("refresh")
    ours = [one for one in refreshes if "iip/due" in one.tags]
    assert [one.tags["iip/batches"] for one in ours] == [BATCH]
    assert "raw_dataset: input dvc_data changed" in ours[0].tags["iip/why"]
    done = office.page.materialized(ours[0].run_id)
    after = office.made()
    moved = {name for name in after if after[name] != before[name]}
    assert moved == set(done)
    assert "embedding_backbone" not in moved
    assert {"image_statistics", "predictions", "pipeline_report"} <= moved
    assert office.team.refresh()["computed"] == []
    statistics = office.team.iip("show", "image_statistics", "--json").stdout
    assert '"images_computed": 10' in statistics


def test_the_same_batch_again_changes_nothing(office: Office, batch: Path) -> None:
    head, before, ran = office.head(), office.made(), len(office.runs("refresh"))
    office.drop(batch, BATCH)
    assert office.taken(BATCH, 1).tags["iip/verdict"] == "present"
    office.another_look("dvc_data_sensor")
    assert (office.head(), office.made(), len(office.runs("refresh"))) == (head, before, ran)


def test_a_bad_batch_is_sent_back_with_reasons_and_somebody_hears_of_it(
    office: Office, batch: Path, tmp_path: Path
) -> None:
    head, before, ran = office.head(), office.made(), len(office.runs("refresh"))
    bad = tmp_path / "bad"
    shutil.copytree(batch, bad)
    with (bad / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[2]["age_years"] = "-3"
    with (bad / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    office.drop(bad, "2031-06-bad")
    assert office.taken("2031-06-bad", 2, status="FAILURE").tags["iip/verdict"] == "rejected"
    errors = (office.team.root / "rejected" / "2031-06-bad" / "errors.csv").read_text()
    assert "labels.csv,4,age_years,-3" in errors
    until(lambda: any(alarm["kind"] == "batch_rejected" for alarm in office.hook.taken))
    told = [alarm for alarm in office.hook.taken if alarm["kind"] == "batch_rejected"]
    assert [alarm["subject"] for alarm in told] == ["2031-06-bad"]
    assert told[0]["id"] in office.team.iip("alarms", "--json").stdout
    office.another_look("dvc_data_sensor")
    assert (office.head(), office.made(), len(office.runs("refresh"))) == (head, before, ran)


def test_data_that_goes_back_is_fresh_without_computing(office: Office) -> None:
    """That it is asked for each time, however often, test_refresh_sensor shows."""
    ran = len(office.runs("refresh"))
    office.team.git("checkout", "--quiet", "HEAD~1")
    office.team.dvc("checkout", "--quiet", "--force")
    until(lambda: len(office.runs("refresh")) > ran)
    until(office.cached)
    run = office.runs("refresh")[0]
    assert run.tags["iip/batches"] == BATCH
    done = office.page.materialized(run.run_id)
    assert all(made["reused"] for made in done.values())
    assert not [alarm for alarm in office.hook.taken if alarm["kind"] == "run_failure"]


def test_stale_shows_and_the_refresh_job_and_materialize_all_do_only_what_is_due(
    office: Office,
) -> None:
    office.stop_sensors()
    page, team = office.page, office.team
    labels = sorted((team.root / "data" / "batches").glob("*/labels.csv"))[0]
    header, *rows = labels.read_text().splitlines()
    labels.unlink()
    labels.write_text("\n".join([header, *rows[1:], rows[0]]) + "\n")
    team.dvc("add", "--quiet", "data")
    assert team.status()["raw_dataset"]["state"] == "stale"
    assert page.stale() == {"raw_dataset"}

    done = page.materialized(page.launch("refresh"))
    assert [name for name, made in done.items() if not made["reused"]] == ["raw_dataset"]
    assert all(
        {"made_at", "made_of", "modules", "packages", "settings", "sources"} <= made["told"]
        for made in done.values()
    )
    assert page.stale() == set()
    assert team.refresh()["computed"] == []

    again = page.materialized(page.launch("__ASSET_JOB", list(team.status())))
    assert set(again) == set(team.status())
    assert all(made["reused"] for made in again.values())
