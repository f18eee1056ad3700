"""File locks that the system frees when their process dies, with words about who holds them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout


@contextmanager
def workspace_lock(state: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """One refresh at a time: where another process has the lock, says who and waits.

    It can be taken again by the process that holds it, in any of its threads.

    Args:
        state: The workspace's state folder.
        say: Told once, before waiting.
    """
    file = state / "lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with _held(FileLock(file, is_singleton=True, thread_local=False), file, say):
        yield


@contextmanager
def exclusive_lock(file: Path, *, say: Callable[[str], None]) -> Iterator[None]:
    """One holder at a time, threads of one process included; says who it is waiting for.

    Args:
        file: The lock file, made where it is missing.
        say: Told once, before waiting.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with _held(FileLock(file, thread_local=False), file, say):
        yield


@contextmanager
def _held(lock: BaseFileLock, file: Path, say: Callable[[str], None]) -> Iterator[None]:
    try:
        lock.acquire(timeout=0.05)
    except Timeout:
        say(f"waiting for {_holder(file)}, which is at work in this workspace")
        lock.acquire()
    try:
        if lock.lock_counter == 1:
            command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200]
            _holder_file(file).write_text(json.dumps({"pid": os.getpid(), "command": command}))
        yield
    finally:
        lock.release()


def _holder_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.holder")


def _holder(file: Path) -> str:
    try:
        holder = json.loads(_holder_file(file).read_text())
        return f"process {holder['pid']} ({holder['command']})"
    except (OSError, ValueError, KeyError):
        return "another process"
