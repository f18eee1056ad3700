"""Where Dagster's page of a workspace is: one at a time, at a port that is free.

Two would run two daemons, which start every run twice.
"""

from __future__ import annotations

import errno
import fcntl
import socket
from pathlib import Path
from typing import TextIO

from iip_assets.errors import UserError

HOST = "127.0.0.1"
# How far a free port is looked for.
_MOST_PORTS = 20


class PageError(UserError):
    """The page cannot be there, or is there already."""


def claim_page(state: Path, port: int) -> TextIO:
    """Says that this process has the workspace's page at the port.

    The file that is given holds the claim, while it is open here or in a process that has it.

    Args:
        state: The workspace's state folder.
        port: Where it is to listen.

    Raises:
        PageError: The workspace has a page already, or the port is taken.
    """
    state.mkdir(parents=True, exist_ok=True)
    claim = (state / "ui.lock").open("a+")
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _refuse_taken(port)
    except BlockingIOError:
        claim.seek(0)
        place = claim.read().strip() or "another port"
        claim.close()
        raise PageError(
            f"Dagster runs in this workspace already, at {place}: open that page, or stop it first"
        ) from None
    except PageError:
        claim.close()
        raise
    claim.truncate(0)
    claim.write(f"http://{HOST}:{port}")
    claim.flush()
    return claim


def _refuse_taken(port: int) -> None:
    error = _bind_error(port)
    if error is None:
        return
    free = (one for one in range(port + 1, port + _MOST_PORTS) if _bind_error(one) is None)
    what = "is taken by another program" if error.errno == errno.EADDRINUSE else error.strerror
    other = next((one for one in free if one <= 65535), None)
    hint = f"; `iip ui --port {other}` takes a free one" if other else "; give another --port"
    raise PageError(f"port {port} {what}{hint}")


def _bind_error(port: int) -> OSError | None:
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        return error
    except OverflowError:  # beyond the last port
        return OSError(errno.EADDRNOTAVAIL, "does not exist")
    return None
