"""Writing settings into iip.toml: what people wrote around them stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tomlkit

from iip_assets.engine.atomic import write_text_whole


class Change(NamedTuple):
    """A setting that was changed.

    Attributes:
        path: Its section and name.
        before: The old value; None where it was not set.
        after: The new one.
    """

    path: str
    before: Any
    after: Any


def write_settings(root: Path, values: Mapping[str, Any]) -> list[Change]:
    """Sets values by path and says which were others; comments and order stay as they are.

    Args:
        root: The workspace's folder.
        values: By the settings' paths, such as `filter.epochs`.
    """
    file = root / "iip.toml"
    document = tomlkit.parse(file.read_text(encoding="utf-8"))
    changed = []
    for path, value in values.items():
        section, _, key = path.partition(".")
        if section not in document:
            document[section] = tomlkit.table()
        table: Any = document[section]
        before = table.get(key)
        if before != value:
            table[key] = value
            changed.append(Change(path, before, value))
    if changed:
        write_text_whole(file, tomlkit.dumps(document))
    return changed


def in_words(changes: list[Change]) -> list[str]:
    """A line a change."""
    return [
        f"{path} = {after} (was {'not set' if before is None else repr(before)})"
        for path, before, after in changes
    ]
