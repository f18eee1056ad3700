"""Where the workspace is. Loads nothing, since every command begins here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

LANDMARK_FILE = Path(sys.prefix, "share", "iip_assets", "iris_landmark.tflite")
"""What `statistics.landmark_file` installs."""

WATCHED_FILES = (
    *("iip.toml", "data.dvc", "registry/mlflow.db", "/dev/nvidiactl"),
    str(LANDMARK_FILE),
)
"""What settings and sources are read from. A GPU that comes or goes changes `compute.device`."""


class NoWorkspaceError(LookupError):
    """No folder here or above has an iip.toml."""


def find_workspace(start: Path | None = None) -> Path:
    """The workspace that `start` lies in, the current folder unless given.

    Without `start`, IIP_WORKSPACE names the workspace outright.

    Raises:
        NoWorkspaceError: There is none.
    """
    if start is None and "IIP_WORKSPACE" in os.environ:
        return Path(os.environ["IIP_WORKSPACE"]).resolve()
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "iip.toml").is_file():
            return folder
    raise NoWorkspaceError(
        f"{here} is not in a workspace (no iip.toml here or above); `iip init DIR` makes one"
    )


def paths_under_data(root: Path, word: str) -> Iterator[str]:
    """The paths under `data/` that a word may mean, whether or not a file is there.

    As typed in the current folder, from the workspace at `root`, and as the tables have it.
    """
    data = (root / "data").resolve()
    for start in (Path.cwd(), root, data):
        path = Path(start, word)
        for one in (path.absolute(), path.resolve()):
            if one.is_relative_to(data):
                yield one.relative_to(data).as_posix()
