"""Progress of long work: a bar where a person watches a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

# Seconds between lines where there is no terminal: a log stays readable.
_LINE_EVERY_S = 15.0


def track(
    items: Iterable[T], *, total: int | None, label: str, log: Callable[[str], None]
) -> Iterator[T]:
    """Passes the items through while showing how far it is.

    Args:
        items: What is worked through.
        total: How many there are, if known.
        label: What is being done, in words.
        log: Takes the lines where standard error is no terminal.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as bar

        yield from bar(
            items, total=total, description=label, console=Console(stderr=True), transient=True
        )
        return
    started = said = time.monotonic()
    for count, item in enumerate(items):
        now = time.monotonic()
        if now - said >= _LINE_EVERY_S:
            said = now
            rate = count / (now - started)
            log(f"{label}: {count}{f' of {total}' if total else ''} ({rate:.1f}/s)")
        yield item
