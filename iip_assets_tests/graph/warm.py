"""`iip`, `dvc` and small programs in processes of their own that have loaded the libraries already.

They are forked from a server which has imported what takes long, and nothing of the package itself:
each loads its code again, as at a terminal, without the half minute that the libraries take.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

# None of them starts a thread when it is imported: that would be lost in a fork.
_LIBRARIES = (
    *("dagster", "dvc.repo", "evidently", "evidently.presets", "hdbscan", "matplotlib.figure"),
    *("onnx", "onnxruntime", "pandas", "polars", "pytorch_lightning", "scipy.stats"),
    *("segmentation_models_pytorch", "sklearn.metrics", "timm", "torch", "umap"),
)


def start_warm(
    command: Sequence[str], *, cwd: Path, out: Path, err: Path, variables: Mapping[str, str]
) -> BaseProcess:
    """Starts a command in a folder, at the head of a process group of its own.

    Args:
        command: `iip`, `dvc`, `dagster` or the path of a Python file, and its words.
        cwd: The folder.
        out: Where stdout goes.
        err: Where stderr goes.
        variables: Added to the environment.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LIBRARIES))
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", **variables}
    process = context.Process(
        target=_begin, args=(list(command), str(cwd), environment, str(out), str(err))
    )
    process.start()
    return process


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


def _begin(command: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    os.setsid()
    for file, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(file, flags, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
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
