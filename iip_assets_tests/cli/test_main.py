"""What every command has, and what a person reads when one fails for a reason outside it."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

import iip_assets
from iip_assets.cli import main as cli
from iip_assets.engine import databases
from iip_assets.errors import DISK_IS_FULL, words_for


def raise_wrapped(cause: Exception) -> Any:
    def app() -> None:
        try:
            raise cause
        except Exception as error:
            raise OperationalError("INSERT", {}, error) from error

    return app


def test_a_full_disk_is_told_in_one_line_whoever_found_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    monkeypatch.setattr(cli, "app", raise_wrapped(full))
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == f"iip: {DISK_IS_FULL}\n"


@pytest.mark.parametrize("file", [None, "/elsewhere/a.jpg"])
def test_the_file_for_which_there_was_no_room_is_named_if_known(file: str | None) -> None:
    named = f"{file}: " if file else ""
    full = OSError(errno.ENOSPC, "No space left on device", file)
    assert words_for(full) == f"{named}{DISK_IS_FULL}"


def test_what_sqlite_says_where_it_has_no_room_beside_a_database_is_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".iip").mkdir()
    (tmp_path / "iip.toml").touch()
    monkeypatch.chdir(tmp_path)
    full = SimpleNamespace(free=4096)
    monkeypatch.setattr(databases.shutil, "disk_usage", lambda path: full)
    monkeypatch.setattr(cli, "app", raise_wrapped(sqlite3.OperationalError("disk I/O error")))
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == f"iip: {DISK_IS_FULL}\n"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "cannot be written: the disk or the mount that it lies on can only be read"),
        (errno.EACCES, "may not be read or written by you"),
    ],
)
def test_a_file_that_the_system_refuses_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, words: str
) -> None:
    def app() -> None:
        raise OSError(number, os.strerror(number), "/w/.iip/lock")

    monkeypatch.setattr(cli, "app", app)
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err == f"iip: /w/.iip/lock {words}\n"


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])


def overwritten(file: Path) -> None:
    file.write_bytes(b"no database" * 1000)


def exchanged_pages(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:4096] + bytes(4096) + data[8192:])


@pytest.mark.parametrize("damage", [cut_short, overwritten, exchanged_pages])
@pytest.mark.parametrize(
    ("name", "fix"),
    [
        (".iip/dagster/history/runs/index.db", "It may be moved away"),
        (".iip/sweeps.db", "It may be moved away"),
        ("registry/mlflow.db", "move the folder `registry` away"),
    ],
)
def test_a_damaged_database_is_named_and_may_be_moved_away(
    name: str,
    fix: str,
    damage: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    (tmp_path / "iip.toml").touch()
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("CREATE TABLE t (text)")
        database.executemany("INSERT INTO t VALUES (?)", [("word" * 200,)] * 100)
    damage(file)
    monkeypatch.chdir(tmp_path)
    malformed = sqlite3.DatabaseError("database disk image is malformed")
    monkeypatch.setattr(cli, "app", raise_wrapped(malformed))
    with pytest.raises(SystemExit):
        cli.main()
    said = capsys.readouterr().err
    assert f"the database {file} is damaged" in said
    assert fix in said
    assert said.count("\n") == 1
    file.unlink()
    with pytest.raises(OperationalError):  # no other one is to blame
        cli.main()


def test_an_error_that_nobody_foresaw_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", raise_wrapped(sqlite3.OperationalError("no such table: x")))
    with pytest.raises(OperationalError):
        cli.main()


def test_every_verb_has_a_short_help() -> None:
    verbs = [command.name or command.callback.__name__ for command in cli.app.registered_commands]
    for verb in [*verbs, "models", "sweep"]:
        shown = CliRunner().invoke(cli.app, [verb, "-h"])
        assert shown.exit_code == 0, verb
        assert "Usage" in shown.output


def test_the_package_tells_its_version_and_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "iip_assets", "--version"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert shown == f"iip_assets {iip_assets.__version__}\n"


def test_the_shell_completes_the_names_of_assets() -> None:
    environment = {"_IIP_COMPLETE": "complete_bash", "COMP_WORDS": "iip show light"}
    shown = (
        CliRunner().invoke(cli.app, env={**environment, "COMP_CWORD": "2"}, prog_name="iip").output
    )
    assert shown.split() == ["lighting_stats"]


def test_report_says_where_the_page_lies_and_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    monkeypatch.setenv("IIP_WORKSPACE", str(tmp_path))
    missing = CliRunner().invoke(cli.app, ["report"])
    assert "iip refresh" in str(missing.exception)
    page = tmp_path / ".iip/reports/pipeline_report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>")
    assert CliRunner().invoke(cli.app, ["report"]).output.strip() == str(page)
    assert opened == [page.as_uri()]
    CliRunner().invoke(cli.app, ["report", "--no-open"])
    assert len(opened) == 1
