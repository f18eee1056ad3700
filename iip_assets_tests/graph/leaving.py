"""Runs a command without a network and prints who looked for one: `leaving.py RESOLVER COMMAND…`.

A program of test_leaving, run in a network of its own that has the loopback device alone. There the
system counts what it could not send, whoever tried: compiled libraries and their threads as well.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_MS_BIND = 4096


def main(resolver: str, command: list[str]) -> None:
    """Prints how many packets found no way out, the exit status and what the command said."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
    # A name server on this machine would answer, or refuse, without a packet that leaves.
    mount = ctypes.CDLL(None, use_errno=True).mount
    if mount(resolver.encode(), b"/etc/resolv.conf", None, _MS_BIND, None):
        raise OSError(ctypes.get_errno(), "cannot name another resolver")
    before = unsent()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = {"unsent": unsent() - before, "status": done.returncode, "said": done.stderr[-3000:]}
    sys.stdout.write(json.dumps(told) + "\n")


def unsent() -> int:
    """Packets of this network that found no way out."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if "Ip: " in line
    )
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"])


if __name__ == "__main__":
    os.environ.pop("PYTHONSTARTUP", None)
    main(sys.argv[1], sys.argv[2:])
