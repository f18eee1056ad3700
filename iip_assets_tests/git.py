"""Git as a person of the tests uses it."""

from __future__ import annotations

import subprocess
from pathlib import Path

_NAME = ("-c", "user.name=Test", "-c", "user.email=test@example.org")


def git(root: Path, *words: str) -> str:
    """What git prints."""
    done = subprocess.run(
        ["git", *_NAME, *words], cwd=root, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()
