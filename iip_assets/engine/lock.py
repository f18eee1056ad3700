"""File locks that the system frees when their process dies, with words about who holds them."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def workspace_lock(
    state: Path, *, log: Callable[[str], None], shared: bool = False
) -> Iterator[None]:
    """Keeps what computes and what cleans up apart: many of the first at once, or one of the other.

    Args:
        state: The workspace's state folder.
        log: Told once, before waiting.
        shared: Whether others may compute at the same time; nobody cleans up meanwhile.
    """
    with _held(state / "lock", log=log, shared=shared):
        yield


@contextmanager
def action_lock(
    state: Path, asset: str, action_key: str, *, log: Callable[[str], None]
) -> Iterator[None]:
    """One process at a time does an action; another one waits and then finds it done."""
    file = _action_file(state, asset, action_key)
    with exclusive_lock(file, log=log):
        yield
        # Who waits for it holds the file that is gone here, and finds the action done.
        file.unlink(missing_ok=True)
        _holder_file(file).unlink(missing_ok=True)


def is_under_way(state: Path, asset: str, action_key: str) -> bool:
    """Whether a process does an action of which the key begins so."""
    file = _action_file(state, asset, action_key)
    try:
        with file.open() as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _action_file(state: Path, asset: str, action_key: str) -> Path:
    return state / "locks" / asset / f"{action_key[:16]}.lock"


@contextmanager
def exclusive_lock(file: Path, *, log: Callable[[str], None]) -> Iterator[None]:
    """One holder at a time, threads of one process included; says who it is waiting for.

    Args:
        file: The lock file, made where it is missing.
        log: Told once, before waiting.
    """
    with _held(file, log=log):
        yield


@contextmanager
def _held(file: Path, *, log: Callable[[str], None], shared: bool = False) -> Iterator[None]:
    file.parent.mkdir(parents=True, exist_ok=True)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with file.open("a") as opened:
        try:
            fcntl.flock(opened, how | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"waiting for {_holder(file)}, which is at work in this workspace")
            fcntl.flock(opened, how)
        _name_holder(file)
        try:
            yield
        finally:
            # Said, and not left to the closing: a forked process holds the same file open.
            fcntl.flock(opened, fcntl.LOCK_UN)


def _name_holder(file: Path) -> None:
    holder = {"pid": os.getpid(), "program": program_words(sys.argv)}
    with suppress(OSError):  # a full disk, on which `iip gc` needs the lock alone
        _holder_file(file).write_text(json.dumps(holder))


def program_words(argv: Sequence[str]) -> str:
    """What a person knows a process by; Dagster starts its own with pages of JSON."""
    program, *rest = argv
    if Path(program).name == "iip":
        return f"`{' '.join(['iip', *rest])[:60]}`"
    return "a run of Dagster" if "dagster" in Path(program).parts[-2:] else "another program"


def _holder_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.holder")


def _holder(file: Path) -> str:
    try:
        holder = json.loads(_holder_file(file).read_text())
        return f"{holder['program']} (process {holder['pid']})"
    except (OSError, ValueError, KeyError):
        return "another process"
