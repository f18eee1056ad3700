"""Calls assets' functions in a workspace and prints what they touched: `watched.py ROOT ASSET…`.

A program of test_reads. What the interpreter opens is seen by an audit hook. What compiled
libraries open on their own is not, so the settings' file is away while a function runs; whoever
calls this takes away the other files that must not be needed.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iip_assets.engine.artifacts import ArtifactStore
from iip_assets.engine.context import AssetContext
from iip_assets.engine.event_cache import present_events
from iip_assets.engine.values import Noted
from iip_assets.engine.workspace import setting_value
from iip_assets.graph import build_project
from iip_assets.settings_file import read_settings

FILES = ("open", "os.listdir", "os.scandir", "os.rename", "os.remove", "sqlite3.connect")
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto")
# An asset with bad manners, to show that the watch sees what it should.
NOSY = "nosy"


class Watch:
    """An audit hook that notes files below a folder, and network calls, while it is told to."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._touched: dict[str, set[str]] | None = None
        sys.addaudithook(self._hook)

    @contextmanager
    def on(self) -> Iterator[dict[str, set[str]]]:
        """What is touched meanwhile: `files` relative to the root, and `network`."""
        touched: dict[str, set[str]] = {"files": set(), "network": set()}
        self._touched = touched
        try:
            yield touched
        finally:
            self._touched = None

    def _hook(self, event: str, values: tuple[Any, ...]) -> None:
        touched = self._touched
        if touched is None:
            return
        if event in NETWORK:
            touched["network"].add(f"{event} {values[1:]}")
        elif event == "os.remove" and values[1] != -1:
            pass  # a name within an open folder, the opening of which was seen
        elif event in FILES and isinstance(values[0], str | bytes | os.PathLike):
            path = Path(os.fsdecode(values[0])).resolve()
            if path.is_relative_to(self._root):
                touched["files"].add(path.relative_to(self._root).as_posix())


def nosy(root: Path) -> Callable[[], None]:
    """Reads a setting, the data folder and a tracked file past the engine, and calls someone."""

    def function() -> None:
        list((root / "data").iterdir())
        for name in ("iip.toml", "truth.csv"):
            try:
                (root / name).read_bytes()
            except FileNotFoundError:
                continue
        with socket.socket() as line:
            line.settimeout(1)
            line.connect_ex(("127.0.0.1", 9))

    return function


def main(root: Path, names: Sequence[str]) -> None:
    """Prints, by asset, the touched files and network calls, the data version and the known one."""
    project = build_project(root)
    events = present_events(project)
    values = read_settings(root)
    # A state of its own: no feature table has a row, so that every image is really read.
    state = root / ".iip" / "watched"
    store = ArtifactStore(str(state / "artifacts"))
    watch = Watch(root)
    settings, trial = root / "iip.toml", root.parent / "iip.toml.aside"
    told: dict[str, Any] = {}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*inputs: Any, **keywords: Any) -> Any:
            settings.rename(trial)
            try:
                with watch.on() as touched:
                    result = function(*inputs, **keywords)
            finally:
                trial.rename(settings)
            told[name] = {kind: sorted(found) for kind, found in touched.items()}
            return result

        return call

    for asset in (project.graph.assets[name] for name in names):
        part = asset.compute
        keywords = {name: setting_value(values, path) for name, path in part.settings.items()}
        if part.context:
            scratch = state / "scratch" / asset.name
            keywords[part.context] = AssetContext(
                root, project.code_keys, state, log, scratch=scratch
            )
        inputs = [project.load(name, events) for name in asset.inputs]
        result = watched(asset.name, asset.function)(*inputs, **keywords)
        value = result.value if isinstance(result, Noted) else result
        latest = events.materialized(asset.name)
        told[asset.name] |= {
            "made": store.put(value).content_hash,
            "recorded": latest.data_version if latest else None,
        }
    (root / "data").mkdir(exist_ok=True)
    watched(NOSY, nosy(root))()
    sys.stdout.write(json.dumps(told) + "\n")


def log(text: str) -> None:
    """Words for whoever watches; stdout holds the result alone."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
