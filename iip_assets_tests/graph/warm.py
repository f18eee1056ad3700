"""`iip`, `dvc` and small programs in processes of their own that have loaded the libraries already.

They are forked from a server which has imported what takes long, and nothing of the package itself:
each loads its code again, as at a terminal, without the half minute that the libraries take. All
processes of a test session share the server; it ends with the last of them.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filelock import FileLock

# None of them needs a thread that it starts when it is imported: that would be lost in a fork. So
# not lancedb, but what it loads for most of its time.
_LIBRARIES = (
    *("alembic.migration", "captum.attr", "dagster", "dagster._core.storage.event_log.sqlite"),
    *("dagster._core.storage.runs", "dvc.repo", "evidently", "evidently.presets", "hdbscan"),
    *("lance_namespace", "matplotlib.backends.backend_agg", "matplotlib.figure", "mlflow"),
    *("mpl_toolkits.axes_grid1", "onnx", "onnxruntime", "pandas", "polars", "pytorch_lightning"),
    *("scipy.stats", "scmrepo.git", "segmentation_models_pytorch", "sklearn.metrics", "timm"),
    *("torch", "torch.distributed.checkpoint", "typer", "umap"),
)


class WarmProcess:
    """A command that the server runs, at the head of a process group of its own.

    Attributes:
        exitcode: None while it runs; negative where a signal ended it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pid = int(_line(connection))
        self.exitcode: int | None = None

    def join(self, timeout: float | None = None) -> None:
        """Waits until it has ended, or for so many seconds."""
        if self.exitcode is None:
            self._connection.settimeout(timeout)
            with suppress(TimeoutError, BlockingIOError):
                self.exitcode = int(_line(self._connection))
                self._connection.close()

    def is_alive(self) -> bool:
        self.join(0)
        return self.exitcode is None

    def kill(self) -> None:
        """SIGKILL to it and all that it started."""
        for kill in (os.killpg, os.kill):  # in its first moment it leads no group yet
            with suppress(ProcessLookupError):
                kill(self._pid, signal.SIGKILL)


def start_warm(
    command: Sequence[str], *, cwd: Path, out: Path, err: Path, variables: Mapping[str, str]
) -> WarmProcess:
    """Starts a command in a folder.

    Args:
        command: `iip`, `dvc`, `dagster` or the path of a Python file, and its words.
        cwd: The folder.
        out: Where stdout goes.
        err: Where stderr goes.
        variables: Added to the environment.
    """
    connection = _connected(_server().address)
    assert connection is not None, "the server of warm processes is gone"
    request = {
        "command": list(command),
        "cwd": str(cwd),
        "environment": {**os.environ, "PYTHONWARNINGS": "ignore", **variables},
        "path": sys.path,
        "out": str(out),
        "err": str(err),
    }
    connection.sendall(json.dumps(request).encode() + b"\n")
    return WarmProcess(connection)


def run_warm(
    command: Sequence[str], *, cwd: Path, variables: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What the command gives; see `start_warm`."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = start_warm(command, cwd=cwd, out=out, err=err, variables=variables)
        process.join()
        given, told = (
            file.read_text(errors="replace") if file.exists() else "" for file in (out, err)
        )
    code = process.exitcode
    assert code is not None
    return subprocess.CompletedProcess(list(command), code, given, told)


@dataclass(frozen=True)
class _Server:
    """The server, a connection that keeps it running as long as this process, and its process."""

    address: str
    use: socket.socket
    process: subprocess.Popen[bytes] | None = None


@cache
def _server() -> _Server:
    """The server of the session, which the first who asks starts."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    address = f"{tempfile.gettempdir()}/iip-warm-{session}"
    with FileLock(f"{address}.lock"):
        if use := _use(address):
            return _Server(address, use)
        Path(address).unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-Wignore", __file__, address],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not (use := _use(address)):
            assert process.poll() is None, "no server of warm processes"
            time.sleep(0.05)
        return _Server(address, use, process)


def _use(address: str) -> socket.socket | None:
    """A connection that the server has counted."""
    connection = _connected(address)
    if connection is not None:
        with suppress(OSError):
            connection.sendall(b"null\n")
            if _line(connection):
                return connection
        connection.close()
    return None


def _connected(address: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


def _line(connection: socket.socket) -> bytes:
    """The next line, and no byte of the one after it."""
    found = b""
    while not found.endswith(b"\n") and (byte := connection.recv(1)):
        found += byte
    return found


def _serve(address: str) -> None:
    for library in _LIBRARIES:
        __import__(library)
    gc.freeze()  # what was loaded is for no collection to look through
    context, selector, users = multiprocessing.get_context("fork"), selectors.DefaultSelector(), 0
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    client, _ = listener.accept()
                    request = json.loads(_line(client))
                    if request is None:
                        users += 1
                        client.sendall(b"1\n")
                        selector.register(client, selectors.EVENT_READ)
                        continue
                    started = context.Process(target=_begin, kwargs=request)
                    started.start()
                    _tell(client, started.pid)
                    selector.register(started.sentinel, selectors.EVENT_READ, (started, client))
                    continue
                selector.unregister(key.fileobj)
                if key.data:
                    ended, client = key.data
                    ended.join()
                    _tell(client, ended.exitcode)
                    client.close()
                    continue
                users -= 1
                if not users:
                    return


def _tell(client: socket.socket, number: int | None) -> None:
    with suppress(OSError):  # who asked may be gone
        client.sendall(f"{number}\n".encode())


def _begin(
    command: list[str], cwd: str, environment: dict[str, str], path: list[str], out: str, err: str
) -> None:
    os.setsid()
    for file, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(file, flags, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[:] = path
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    sys.argv = list(command)
    if command[0] == "iip":
        from iip_assets.cli.main import main

        main()
    elif command[0] == "dvc":
        from dvc.cli import main as dvc

        sys.exit(dvc(command[1:]))
    elif command[0] == "dagster":
        from dagster._cli import main as dagster

        dagster()
    else:
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    server = os.getpid()
    try:
        _serve(sys.argv[1])
    finally:
        if os.getpid() == server:
            for file in (sys.argv[1], f"{sys.argv[1]}.lock"):
                Path(file).unlink(missing_ok=True)
    os._exit(0)  # libraries would take their time to go, and complain
