"""Notes, in each Python process below, who is called and what is written: see test_leaving."""

import os
import sys
from pathlib import Path

_CALLS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
# The place of the path that comes into being among the event's values.
_WRITES = {"os.mkdir": 0, "os.rename": 1, "os.link": 1, "os.symlink": 1, "sqlite3.connect": 0}
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_NOTES = os.open(os.environ["IIP_TEST_NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def _note(event, values):
    if event in _CALLS:
        kind, what = "call", values[-1] if event in ("socket.connect", "socket.sendto") else values
    elif event in _WRITES:
        kind, what = "write", values[_WRITES[event]]
    elif event == "open" and isinstance(values[2], int) and values[2] & _TO_WRITE:
        kind, what = "write", values[0]
    else:
        return
    if kind == "write":
        if not isinstance(what, (str, bytes, os.PathLike)):
            return
        what = str(Path.cwd() / os.fsdecode(what))
    os.write(_NOTES, f"{kind} {what!r} {' '.join(sys.argv[:3])!r}\n".encode(errors="replace"))


sys.addaudithook(_note)
