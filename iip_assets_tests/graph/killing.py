"""Killing `iip` at chosen moments, and what must hold afterwards.

Shared by `benchmarks/kills.py` (many moments) and `test_kills.py` (a few). A kill is SIGKILL to the
whole process group: no handler runs, nothing is flushed. Each starts from a copy of a prepared
workspace and is compared with what an undisturbed run made of another copy: `killed_refresh` and
`killed_ingest` say how.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iip_assets_tests.graph.conftest import Team
from iip_assets_tests.graph.warm import start_warm


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


def copy_workspace(start: Path, to: Path) -> Team:
    """A copy to work on, quick where the file system shares blocks."""
    shutil.rmtree(to, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", str(start), str(to)], check=True)
    return Team(to)


def start_and_kill(root: Path, words: Sequence[str], moment: Moment) -> float | None:
    """Starts `iip`, kills it and all its children, and says after how many seconds, if at all."""
    seen = set(root.glob(moment.event)) if moment.event else set()
    began = time.monotonic()
    nowhere = Path(os.devnull)
    process = start_warm(("iip", *words), cwd=root, out=nowhere, err=nowhere, variables={})
    try:
        while moment.event and process.is_alive():
            if len(set(root.glob(moment.event)) - seen) >= moment.count:
                break
            time.sleep(0.001)
        process.join(moment.after_s)
    finally:
        ended = not process.is_alive()
        took = time.monotonic() - began
        if not ended:
            process.kill()
        process.join()
    assert not ended or process.exitcode == 0, f"{words} failed before it was killed"
    return None if ended else took
