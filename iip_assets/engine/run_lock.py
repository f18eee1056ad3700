"""Whether the process of a run is there: it locks a file, which the system frees when it dies.

Dagster takes a run for started until somebody says otherwise, also when its process was killed.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

Holder = Literal["alive", "dead", "unknown"]

# The lock of the run that this process performs: held until it performs another, or dies.
_held: dict[str, FileLock] = {}


def hold_run_lock(state: Path, run_id: str) -> None:
    """Says that this process performs the run, from now until it performs another or dies."""
    if run_id in _held:
        return
    while _held:
        _held.popitem()[1].release()
    file = _file(state, run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, thread_local=False)
    with suppress(Timeout):  # another process of the same run has it, which says the same
        lock.acquire(timeout=0)
        _held[run_id] = lock


def find_holder(state: Path, run_id: str) -> Holder:
    """Whether the process that performs the run is alive; unknown where none has begun."""
    file = _file(state, run_id)
    if not file.exists():
        return "unknown"
    try:
        with FileLock(file, timeout=0, thread_local=False):
            return "dead"
    except Timeout:
        return "alive"


def forget_run_locks(state: Path, *, but: Collection[str]) -> None:
    """Removes the files of runs that are over, except those named."""
    for file in (state / "runs").glob("*.lock"):
        if file.stem not in but and find_holder(state, file.stem) == "dead":
            file.unlink(missing_ok=True)


def _file(state: Path, run_id: str) -> Path:
    return state / "runs" / f"{run_id}.lock"
