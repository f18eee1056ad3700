"""`iip` in processes of its own that have loaded the libraries already.

They are forked from a server which has imported what takes long, and nothing of the package itself:
each loads its code again, as at a terminal, without the half minute that the libraries take.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

# None of them starts a thread when it is imported: that would be lost in a fork.
_LIBRARIES = (
    *("dagster", "dvc.repo", "evidently", "evidently.presets", "hdbscan", "matplotlib.figure"),
    *("onnx", "onnxruntime", "pandas", "polars", "pytorch_lightning", "scipy.stats"),
    *("segmentation_models_pytorch", "sklearn.metrics", "timm", "torch", "umap"),
)


def run_iip(
    words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """What `iip` gives for these words, in a folder and under variables."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LIBRARIES))
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        process = context.Process(
            target=_iip, args=(list(words), str(cwd), dict(environment), str(out), str(err))
        )
        process.start()
        process.join()
        given, told = (
            file.read_text(errors="replace") if file.exists() else "" for file in (out, err)
        )
    code = process.exitcode
    assert code is not None
    return subprocess.CompletedProcess(["iip", *words], code, given, told)


def _iip(words: list[str], cwd: str, environment: dict[str, str], out: str, err: str) -> None:
    for file, descriptor in ((os.devnull, 0), (out, 1), (err, 2)):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT
        os.dup2(os.open(file, flags, 0o600), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    sys.argv = ["iip", *words]
    from iip_assets.cli.main import main

    main()
