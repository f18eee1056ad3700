"""What a person reads when a command fails for a reason outside it."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from iip_assets.cli import main as cli


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
    assert capsys.readouterr().err == (
        "iip: the disk is full; make room (`iip gc`), then run this again\n"
    )


def test_an_error_that_nobody_foresaw_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", raise_wrapped(sqlite3.OperationalError("no such table: x")))
    with pytest.raises(OperationalError):
        cli.main()
