"""Running git in a workspace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

# A hook may run tests.
_PATIENCE_S = 600


def run_git(
    root: Path, *words: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a git command to its end; a git that is missing or hangs is a return code too."""
    # What only looks takes no lock that a kill would leave behind.
    command = ("git", "--no-optional-locks", *words)
    try:
        return subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0", **(environment or {})},
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", "git is not installed")
    except subprocess.TimeoutExpired:
        reason = f"git did not end within {_PATIENCE_S} s"
        return subprocess.CompletedProcess(command, 124, "", reason)
