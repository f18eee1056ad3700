"""`iip ui`: one page a workspace, and words about a port that cannot be had."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from iip_assets.cli.main import app
from iip_assets.cli.ui_page import PageError, claim_page
from iip_assets.engine.lock import program_words


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_a_workspace_has_one_page_until_whoever_has_it_ends(tmp_path: Path) -> None:
    port = free_port()
    with claim_page(tmp_path / ".iip", port):
        with pytest.raises(PageError, match=rf"already, at http://127\.0\.0\.1:{port}: open"):
            claim_page(tmp_path / ".iip", free_port())
        claim_page(tmp_path / "another", free_port()).close()
    claim_page(tmp_path / ".iip", port).close()


def test_a_process_that_is_given_the_claim_keeps_the_page(tmp_path: Path) -> None:
    claim = claim_page(tmp_path, free_port())
    command = ["/bin/sh", "-c", "read line"]
    given = {"pass_fds": [claim.fileno()], "stdin": subprocess.PIPE}
    with subprocess.Popen(command, **given) as process:
        claim.close()
        with pytest.raises(PageError, match="runs in this workspace already"):
            claim_page(tmp_path, free_port())
        process.communicate(b"\n")
    claim_page(tmp_path, free_port()).close()


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_told_with_one_that_is_free(tmp_path: Path, address: str) -> None:
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PageError, match=rf"port {port} is taken by another program; `iip ui"):
            claim_page(tmp_path, port)
    claim_page(tmp_path, port).close()


@pytest.mark.parametrize("port", ["0", "-1", "65536", "80000"])
def test_a_port_that_does_not_exist_is_refused(port: str) -> None:
    result = CliRunner().invoke(app, ["ui", "--port", port])
    assert result.exit_code == 2
    assert "than or equal to" in result.output


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["/usr/bin/iip", "refresh", "drift_report"], "`iip refresh drift_report`"),
        (["/v/bin/dagster", "api", "execute_run", '{"__class__": "X"}'], "a run of Dagster"),
        (["/v/dagster/__main__.py", "dev", "--port", "3000"], "a run of Dagster"),
        (["-c", "--multiprocessing-fork"], "another program"),
    ],
)
def test_whom_one_waits_for_is_named_without_internals(argv: list[str], words: str) -> None:
    assert program_words(argv) == words
