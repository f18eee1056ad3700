"""A whole refresh calls nobody, and writes nowhere but in the workspace and in caches."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from iip_assets_tests.graph import leaving
from iip_assets_tests.graph.conftest import TINY, made_team

pytestmark = pytest.mark.slow

# What libraries keep for their next start, below the home folder; and DVC, for all users of a
# machine.
CACHES = (".cache/matplotlib", ".cache/fontconfig", ".config/matplotlib", ".cache/wandb/logs")
DVC_CACHE = "/var/tmp/dvc"
# Where a connection ends on this machine.
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")
# What sends itself everything that it is told not to.
NOSY = """
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as line:
        line.settimeout(1)
        line.connect_ex(("192.0.2.7", 443))
try:
    socket.getaddrinfo("example.org", 443)
except OSError:
    pass
"""


@dataclass(frozen=True)
class Watched:
    """What a command did beside its work."""

    status: int
    said: str
    calls: list[str]
    writes: list[str]
    unsent: int | None


def watched(command: list[str], *, cwd: Path, place: Path) -> Watched:
    """Runs a command in a new home; `place` is a folder for that and for the notes.

    Without the right to make a network of its own, compiled code is watched by nobody.
    """
    for name in ("home", "tmp"):
        (place / name).mkdir(parents=True)
    (place / "resolv.conf").write_text("nameserver 192.0.2.53\noptions timeout:1 attempts:1\n")
    notes = place / "notes"
    path = os.pathsep.join([str(Path(__file__).parent / "watching"), *filter(None, sys.path)])
    # What a user sets; torch puts its cache's folder there when it is first used.
    own = ("XDG_", "TORCHINDUCTOR_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment = {
        **kept,
        **{"HOME": str(place / "home"), "TMPDIR": str(place / "tmp"), "PYTHONPATH": path},
        **{"IIP_TEST_NOTES": str(notes), "PYTHONWARNINGS": "ignore"},
    }
    apart = own_network()
    if apart:
        command = [*apart, sys.executable, leaving.__file__, str(place / "resolv.conf"), *command]
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    told = json.loads(done.stdout.splitlines()[-1]) if apart else {}
    lines = [line for line in notes.read_text().splitlines() if line]
    return Watched(
        told.get("status", done.returncode),
        told.get("said", done.stderr),
        [line for line in lines if line.startswith("call ") and not is_at_home(line)],
        sorted({written(line) for line in lines if line.startswith("write ")}),
        told.get("unsent"),
    )


def own_network() -> list[str]:
    """The command that gives a program a network of its own; empty where this user may not."""
    for flags in ("--net --mount", "--map-root-user --net --mount"):
        command = ["unshare", *flags.split()]
        if (
            shutil.which("unshare")
            and not subprocess.run([*command, "true"], capture_output=True, check=False).returncode
        ):
            return command
    return []


def is_at_home(line: str) -> bool:
    """Whether a call stays on this machine."""
    return any(host in line for host in LOOPBACK) or line.startswith("call '/")


def written(line: str) -> str:
    return str(ast.literal_eval(line.removeprefix("write ").rpartition(" '")[0]))


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Watched, Mapping[str, Path]]:
    """A first refresh of a new workspace, with trainings that are logged as they are by default."""
    folder = tmp_path_factory.mktemp("leaving")
    settings = TINY.replace('[tracking]\nwandb = "off"\n', "")
    assert settings != TINY
    team = made_team(folder / "workspace", images=40, settings=settings)
    command = [sys.executable, "-c", "from iip_assets.cli.main import main; main()", "refresh"]
    found = watched(command, cwd=team.root, place=folder / "place")
    assert found.status == 0, found.said
    return found, {"workspace": team.root, "place": folder / "place"}


def test_a_refresh_calls_nobody(refreshed: tuple[Watched, Mapping[str, Path]]) -> None:
    assert refreshed[0].calls == []


def test_no_compiled_library_calls_anybody_either(
    refreshed: tuple[Watched, Mapping[str, Path]],
) -> None:
    if refreshed[0].unsent is None:
        pytest.skip("this user may not make a network of its own: compiled code was not watched")
    assert refreshed[0].unsent == 0


def test_a_refresh_writes_in_the_workspace_and_in_caches_alone(
    refreshed: tuple[Watched, Mapping[str, Path]],
) -> None:
    found, places = refreshed
    home = places["place"] / "home"
    allowed = [places["workspace"], places["place"] / "tmp", *(home / name for name in CACHES)]
    allowed += map(Path, ("/dev", "/proc", DVC_CACHE))
    elsewhere = [
        path
        for path in map(Path, found.writes)
        # A folder on the way to a cache is made with it.
        if not any(path.is_relative_to(one) or one.is_relative_to(path) for one in allowed)
        and "__pycache__" not in path.parts
    ]
    assert elsewhere == []
    # Whoever wrote it, compiled code too.
    left = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in left if not any(path.is_relative_to(one) for one in allowed)] == []


def test_the_watch_sees_who_calls(tmp_path: Path) -> None:
    found = watched([sys.executable, "-c", NOSY], cwd=tmp_path, place=tmp_path / "place")
    assert len(found.calls) == 3
    assert found.unsent is None or found.unsent >= 3


def test_the_watch_sees_who_calls_and_writes_without_python(tmp_path: Path) -> None:
    if not own_network():
        pytest.skip("this user may not make a network of its own")
    script = 'exec 3<>/dev/tcp/192.0.2.7/443; echo x > "$HOME/left"'
    found = watched(["bash", "-c", script], cwd=tmp_path, place=tmp_path / "place")
    assert found.unsent
    assert (tmp_path / "place" / "home" / "left").exists()
