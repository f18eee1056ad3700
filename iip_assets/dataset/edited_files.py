"""Label files in `data/` that differ from what DVC tracks: whoever edits one there should know.

The graph goes on using the tracked bytes, so an edited label would change nothing, silently. To be
asked at every `iip status`, this compares the few label files alone, and their bytes only where
their times or sizes moved since the last look; `iip doctor` compares all files.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from iip_assets.dataset.schema import ANNOTATIONS_FILE, BATCHES_FOLDER, LABELING_FILE, LABELS_FILE
from iip_assets.engine.atomic import write_text_whole
from iip_assets.images.dvc_data import POINTER_FILE

_DATA = "data"
_NAMES = (LABELS_FILE, ANNOTATIONS_FILE, LABELING_FILE)


def edited_files(root: Path) -> list[str]:
    """Label files that were edited or added in `data/` without `dvc add`, relative to it.

    Empty where DVC's listing of the data is not here: that is no edit.
    """
    seen: dict[str, Any] = {"pointer": _text(root / POINTER_FILE), "files": _stats(root / _DATA)}
    memory = root / ".iip" / "label_files.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(memory.read_text())
        if kept["seen"] == seen:
            return [str(path) for path in kept["edited"]]
    edited = _compare(root, list(seen["files"]))
    if edited is None:
        return []
    with suppress(OSError):  # a workspace that cannot be written to
        write_text_whole(memory, json.dumps({"seen": seen, "edited": edited}))
    return edited


def _stats(data: Path) -> dict[str, list[int]]:
    """The label files below the folder, with time, size and number of each."""
    batches = data / BATCHES_FOLDER
    folders = [data, *(batches.iterdir() if batches.is_dir() else ())]
    found = {}
    for path in sorted(folder / name for folder in folders for name in _NAMES):
        with suppress(OSError):
            status = path.stat()
            place = path.relative_to(data).as_posix()
            found[place] = [status.st_mtime_ns, status.st_size, status.st_ino]
    return found


def _compare(root: Path, paths: list[str]) -> list[str] | None:
    from iip_assets.images.dvc_data import BadManifest, BadPointer, MissingData, observe_data
    from iip_assets.images.dvc_data import read_manifest as read
    from iip_assets.images.store import file_md5

    try:
        tracked = dict(read(root, observe_data(root)).select("path", "md5").iter_rows())
        return [path for path in paths if tracked.get(path) != file_md5(root / _DATA / path)]
    except (BadManifest, BadPointer, MissingData, OSError):
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
