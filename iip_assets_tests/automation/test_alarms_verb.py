"""`iip alarms` lists what was sent and what waits, newest first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iip_assets.automation.alarms import AlarmBox, make_alarm
from iip_assets.cli.main import app


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlarmBox:
    (tmp_path / "iip.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    return AlarmBox.of(tmp_path / ".iip")


def test_newest_first_with_how_far_they_got(box: AlarmBox) -> None:
    for hour, text in ((10, "an old one"), (11, "a new one")):
        alarm = make_alarm("run_failure", "a", text, version=text)
        box.add(alarm.model_copy(update={"at": f"2031-05-01T{hour}:00:00.000+00:00"}))
    box.mark_sent(box.pending()[0])
    lines = CliRunner().invoke(app, ["alarms"]).stdout.splitlines()
    assert [line.split("  ")[-1].strip() for line in lines] == ["a new one", "an old one"]
    assert "waits" in lines[0]
    assert "sent" in lines[1]
    listed = json.loads(CliRunner().invoke(app, ["alarms", "--json"]).stdout)["alarms"]
    assert [one["delivery"] for one in listed] == ["waits", "sent"]


def test_none_is_said(box: AlarmBox) -> None:
    assert CliRunner().invoke(app, ["alarms"]).stdout == "there are no alarms\n"
