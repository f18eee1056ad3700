"""What `iip init` writes, what `iip synthesize` refuses, and how help reads."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import iip_assets
from iip_assets.cli import workspaces
from iip_assets.cli.main import app
from iip_assets.ingest.merge_driver import ATTRIBUTE

REPOSITORY = Path(iip_assets.__file__).parents[1]
TEMPLATES = Path(workspaces.__file__).parent / "templates"


@pytest.mark.parametrize(
    "rules",
    [REPOSITORY / ".gitignore", TEMPLATES / "gitignore"],
    ids=["this repository", "a new workspace"],
)
def test_git_ignores_the_folder_of_predictions(tmp_path: Path, rules: Path) -> None:
    (tmp_path / ".gitignore").write_bytes(rules.read_bytes())
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    ignored = subprocess.run(["git", "check-ignore", "predictions/masks/eye.png"], cwd=tmp_path)
    assert ignored.returncode == 0


@pytest.mark.parametrize("out", ["data", "data/batches", "data/batches/2026-01"])
def test_rendered_images_do_not_go_where_dvc_tracks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data.dvc").touch()
    result = CliRunner().invoke(app, ["synthesize", out, "--images", "1", "--batches", "1"])
    assert "is tracked by DVC (data.dvc)" in str(result.exception)
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("out", ["inbox", "elsewhere/data"])
def test_rendered_images_go_where_dvc_does_not_track(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.dvc").touch()
    size = ["--width", "32", "--height", "24"]
    done = CliRunner().invoke(app, ["synthesize", out, "--images", "1", "--batches", "1", *size])
    assert done.exit_code == 0
    assert len(list((tmp_path / out).glob("*/images/*"))) == 1


def _all_verbs(group: Any, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [words]
    for name, command in getattr(group, "commands", {}).items():
        found += _all_verbs(command, (*words, name))
    return found


@pytest.mark.parametrize("words", _all_verbs(get_command(app)), ids=lambda words: " ".join(words))
def test_the_help_of_a_verb_names_no_type_for_a_flag(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0
    assert "--help" in result.output
    assert "bool" not in result.output


@pytest.mark.parametrize(
    "attributes",
    [REPOSITORY / ".gitattributes", TEMPLATES / "gitattributes"],
    ids=["this repository", "a new workspace"],
)
def test_git_asks_the_driver_that_joins_batches(attributes: Path) -> None:
    assert ATTRIBUTE in attributes.read_text().splitlines()


# Starts another process that ends by itself only late, as Dagster does with its code servers.
_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
try:
    print(child.pid, flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(7)
"""
_RUN = """
import signal, sys
if sys.argv[1] == "background":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
from iip_assets.cli.workspaces import _run_until_stopped
sys.exit(_run_until_stopped([sys.executable, "-c", sys.argv[2]]))
"""


@pytest.mark.parametrize("how", ["background", "terminal"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_ends_the_page_ends_all_its_processes(number: signal.Signals, how: str) -> None:
    command = [sys.executable, "-c", _RUN, how, _PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(timeout=30) == 7
    patience_ends = time.monotonic() + 10
    while _is_alive(child) and time.monotonic() < patience_ends:
        time.sleep(0.05)
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
