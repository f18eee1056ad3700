"""One refresh at a time in a workspace: a file lock that the system frees when its process dies."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def workspace_lock(state: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """Holds the workspace's lock; where another process has it, says who and waits.

    It can be taken again by the process that holds it, in any of its threads.

    Args:
        state: The workspace's state folder.
        say: Told once, before waiting.
    """
    from filelock import FileLock, Timeout

    state.mkdir(parents=True, exist_ok=True)
    lock = FileLock(state / "lock", is_singleton=True, thread_local=False)
    try:
        lock.acquire(timeout=0.05)
    except Timeout:
        say(f"waiting for {_holder(state)}, which is at work in this workspace")
        lock.acquire()
    try:
        if lock.lock_counter == 1:
            command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
            (state / "lock.holder").write_text(json.dumps({"pid": os.getpid(), "command": command}))
        yield
    finally:
        lock.release()


def _holder(state: Path) -> str:
    try:
        holder = json.loads((state / "lock.holder").read_text())
        return f"process {holder['pid']} ({holder['command']})"
    except (OSError, ValueError, KeyError):
        return "another process"
