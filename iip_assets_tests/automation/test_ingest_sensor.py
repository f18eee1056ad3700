"""A drop becomes one run of the job `ingest`, and what came of it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from iip_assets.automation import ingest_job, sensors
from iip_assets.automation.alarms import AlarmBox
from iip_assets.automation.ingest_job import build_ingest_job, ingest_config
from iip_assets.automation.sensors import build_sensors
from iip_assets.dataset.problems import Problem
from iip_assets.engine.code_key import CodeKeys
from iip_assets.engine.graph import Graph
from iip_assets.engine.project import Project
from iip_assets.engine.workspace import Workspace
from iip_assets.ingest import ingest
from iip_assets.ingest.inbox import waiting_batches
from iip_assets.ingest.verdict import Ingested
from iip_assets.settings_file import read_settings

PROBLEM = Problem("a", "labels.csv", "is negative", "correct it", 3, "age_years", "-3")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class Inbox:
    """A workspace whose ingest does what the test says."""

    root: Path
    instance: dg.DagsterInstance
    ingested: list[str] = field(default_factory=list)

    @property
    def project(self) -> Project:
        keys = CodeKeys("iip_assets", Path(ingest_job.__file__).parents[1])
        return Project(Graph([]), Workspace(self.root, read_settings), keys)

    @property
    def alarms(self) -> list[str]:
        box = AlarmBox.of(self.root / ".iip")
        return [f"{alarm.kind} {alarm.subject}" for alarm in box.pending()]

    def drop(self, name: str) -> Path:
        folder = self.root / "inbox" / name
        folder.mkdir(parents=True)
        (folder / "labels.csv").write_text("image\n")
        (folder / "READY").touch()
        return folder

    def sensor(self, name: str) -> dg.SensorDefinition:
        return next(one for one in build_sensors(self.project) if one.name == name)

    def tick(self, name: str) -> Any:
        with dg.build_sensor_context(instance=self.instance) as context:
            return self.sensor(name)(context)

    def look(self) -> list[dg.RunRequest]:
        return list(self.tick("labeled_batch_sensor").run_requests or [])

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        return build_ingest_job(self.project).execute_in_process(
            instance=self.instance,
            run_config={**request.run_config, **QUIET},
            tags=dict(request.tags),
            raise_on_error=False,
        )

    def tell(self, result: dg.ExecuteInProcessResult) -> None:
        """Lets the sensor of failed runs see a run."""
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failure_alarm_sensor",
            dagster_event=result.get_run_failure_event(),
            dagster_instance=self.instance,
            dagster_run=run,
        ).for_run_failure()
        self.sensor("run_failure_alarm_sensor")(context)


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inbox]:
    (tmp_path / "iip.toml").write_text("")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Inbox(tmp_path, instance)


def done_with(verdict: Any, inbox: Inbox) -> Callable[..., Ingested]:
    def ingest_folder(root: Path, folder: Path, *, log: Callable[[str], None]) -> Ingested:
        inbox.ingested.append(folder.name)
        rejected = verdict == "rejected"
        place = root / ("rejected" if rejected else "data") / folder.name
        place.parent.mkdir(exist_ok=True)
        folder.rename(place)
        if rejected:
            (place / "errors.csv").write_text("file,row\n")
        return Ingested(
            batch=folder.name,
            verdict=verdict,
            images=4,
            new_images=3,
            problems=(PROBLEM,) if rejected else (),
            rejected_to=place if rejected else None,
            data_version="0123.dir",
            commit=None if rejected else "abc",
        )

    return ingest_folder


def breaks(*_: Any, **__: Any) -> Ingested:
    raise OSError("no space left on device")


def test_a_drop_is_asked_for_until_it_is_taken(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ingest_folder", done_with("taken", inbox))
    inbox.drop("a")
    first, again = inbox.look(), inbox.look()
    assert [one.run_key for one in first] == [one.run_key for one in again]
    assert first[0].tags["iip/batch"] == "a"
    result = inbox.run(first[0])
    assert result.success
    assert inbox.look() == []
    run = inbox.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["iip/verdict"] == "taken"
    told = next(one for one in result.all_node_events if one.is_successful_output)
    metadata = told.step_output_data.metadata
    assert metadata["new_images"].value == 3
    assert metadata["commit"].value == "abc"
    assert inbox.alarms == []


def test_the_run_of_a_rejected_batch_fails_tells_why_and_raises_one_alarm(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ingest_folder", done_with("rejected", inbox))
    inbox.drop("a")
    result = inbox.run(inbox.look()[0])
    assert not result.success
    (failed,) = result.get_step_failure_events()
    told = failed.step_failure_data.user_failure_data
    assert told is not None
    assert told.description == (
        "the batch a is rejected: 1 error; rejected/a/errors.csv tells what to fix"
    )
    assert told.metadata["verdict"].value == "rejected"
    assert told.metadata["problems"].value.records[0].data["row"] == 3
    assert inbox.look() == []
    inbox.tell(result)
    assert inbox.alarms == ["batch_rejected a"]
    alarm = AlarmBox.of(inbox.root / ".iip").pending()[0]
    assert alarm.details["problem_1"] == "labels.csv, row 3, age_years: is negative"
    assert "-3" not in f"{alarm.text} {alarm.details}"  # its time may have one


def test_the_scan_finds_a_rejected_batch_whose_run_was_killed_before_its_alarm(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sent() -> list[str]:
        return [alarm.subject for alarm in AlarmBox.of(inbox.root / ".iip").sent()]

    done_with("rejected", inbox)(inbox.root, inbox.drop("a"), log=print)
    inbox.tick("alarm_sensor")
    inbox.tick("alarm_sensor")
    assert sent() == ["a"]
    monkeypatch.setattr(ingest, "ingest_folder", done_with("rejected", inbox))
    inbox.drop("b")
    inbox.run(inbox.look()[0])
    inbox.tick("alarm_sensor")
    assert sent() == ["a", "b"]


def test_what_breaks_is_tried_three_times_and_then_raises_an_alarm(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ingest_folder", breaks)
    inbox.drop("a")
    keys = []
    for _ in range(3):
        request = inbox.look()[0]
        keys.append(request.run_key)
        assert not inbox.run(request).success
    assert len(set(keys)) == 3
    assert inbox.look() == []
    assert inbox.alarms == ["ingest_broken a"]
    (inbox.root / "inbox" / "a" / "READY").unlink()
    assert inbox.look() == []
    (inbox.root / "inbox" / "a" / "READY").touch()
    assert [one.tags["iip/batch"] for one in inbox.look()] == ["a"]


def test_a_batch_that_is_gone_by_then_is_no_failure(inbox: Inbox) -> None:
    assert inbox.run(dg.RunRequest(run_config=ingest_config("a"))).success


@pytest.mark.parametrize("name", ["../secret", "/etc", ".", ""])
def test_a_name_that_leaves_the_inbox_opens_nothing(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(ingest, "ingest_folder", done_with("taken", inbox))
    secret = inbox.root / "secret"
    secret.mkdir()
    (secret / "READY").touch()
    assert inbox.run(dg.RunRequest(run_config=ingest_config(name))).success
    assert inbox.ingested == []


def test_a_name_that_dagster_cannot_hold_stops_no_other(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox.drop("b")
    (good,) = waiting_batches(inbox.root)
    odd = replace(good, name="caf\udce9", fingerprint="0")
    monkeypatch.setattr(sensors, "waiting_batches", lambda _: [odd, good])
    assert [one.tags["iip/batch"] for one in inbox.look()] == ["b"]
    assert inbox.alarms == ["ingest_broken caf"]


def test_a_failed_run_is_recorded_with_its_cause(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ingest_folder", breaks)
    inbox.drop("a")
    result = inbox.run(inbox.look()[0])
    for _ in range(2):
        inbox.tell(result)
    (alarm,) = AlarmBox.of(inbox.root / ".iip").pending()
    assert (alarm.kind, alarm.subject) == ("run_failure", result.run_id)
    assert "OSError: no space left on device" in alarm.text
    assert alarm.details["iip/batch"] == "a"
