"""Killing `iip` at chosen moments, and what must hold afterwards.

Shared by `benchmarks/kills.py` (many moments) and `test_kills.py` (a few). A kill is SIGKILL to the
whole process group: no handler runs, nothing is flushed. Each starts from a copy of a prepared
workspace and is compared with what an undisturbed run made of another copy: `killed_refresh` and
`killed_ingest` say how.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from iip_assets.synthetic.parameters import SAMPLE
from iip_assets.synthetic.write import write_dataset
from iip_assets_tests.graph.conftest import QUICK, Team

IIP = (sys.executable, "-c", "from iip_assets.cli.main import main; main()")


@dataclass(frozen=True)
class Moment:
    """When to kill.

    Attributes:
        after_s: Seconds after the start, or after the event where there is one.
        event: A glob below the workspace; the kill waits until it matches a path that is new.
        count: How many new paths there must be.
    """

    after_s: float
    event: str | None = None
    count: int = 1

    def __str__(self) -> str:
        if self.event is None:
            return f"{self.after_s:.2f} s"
        return f"{self.event} no. {self.count} + {1000 * self.after_s:.0f} ms"


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it.

    Attributes:
        moment: When it was to happen.
        at_s: When it happened, after the start; None where the command ended before.
        phase: What was going on.
        recovery_s: How long the next run took.
        faults: What does not hold; empty when all is well.
    """

    moment: str
    at_s: float | None
    phase: str
    recovery_s: float
    faults: tuple[str, ...]


def make_workspace(root: Path, *, images: int = 40, settings: str = QUICK) -> Team:
    """A workspace of rendered eyes in which nothing was computed."""
    subprocess.run([*IIP, "init", str(root)], check=True, capture_output=True, text=True)
    team = Team(root)
    write_dataset(
        root / "data" / "batches",
        images=images,
        seed=5,
        batches=2,
        effects=SAMPLE,
        truth=root / "truth.csv",
        labeling=root / "data" / "LABELING.md",
    )
    (root / "iip.toml").write_text(settings)
    team.dvc("add", "--quiet", "data")
    team.git("add", "--all")
    team.git("commit", "--quiet", "--message", "First batches")
    return team


def copy_workspace(start: Path, to: Path) -> Team:
    """A copy to work on, quick where the file system shares blocks."""
    shutil.rmtree(to, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(start), str(to)], check=True)
    return Team(to)


def start_and_kill(root: Path, words: Sequence[str], moment: Moment) -> float | None:
    """Starts `iip`, kills it and all its children, and says after how many seconds, if at all."""
    seen = set(root.glob(moment.event)) if moment.event else set()
    began = time.monotonic()
    process = subprocess.Popen(
        [*IIP, *words],
        cwd=root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        start_new_session=True,
    )
    try:
        while moment.event and process.poll() is None:
            if len(set(root.glob(moment.event)) - seen) >= moment.count:
                break
            time.sleep(0.001)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment.after_s)
    finally:
        ended = process.poll() is not None
        took = time.monotonic() - began
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not ended or process.returncode == 0, f"{words} failed before it was killed"
    return None if ended else took
