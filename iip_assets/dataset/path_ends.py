"""Files found by the end of a path, however much of the folders above is told."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import PurePosixPath
from urllib.parse import unquote

from iip_assets.dataset.layout import IMAGES_FOLDER


def normal(path: str) -> str:
    """A path in one form of Unicode: folders that travelled by macOS spell é in two characters."""
    return unicodedata.normalize("NFC", path)


class PathEnds:
    """Paths by the ends that they may be named by."""

    def __init__(
        self, paths: Iterable[str], *, fold: bool, alias: Callable[[str], str] | None = None
    ) -> None:
        """`fold` makes all cases one; `alias` gives another name that a file may be called by."""
        self._fold = fold
        self._paths = tuple(paths)
        self._ends: dict[str, list[str]] = {}  # by each end of a path, from the file name on
        self._wholes: dict[str, list[str]] = {}  # by a whole path, with and without images/
        for path in self._paths:
            parts = self._key(path).split("/")
            ends = ["/".join(parts[first:]) for first in range(len(parts))]
            for end in dict.fromkeys((*ends, *([alias(ends[-1])] if alias else []))):
                self._ends.setdefault(end, []).append(path)
            for whole in ends[:2] if parts[0] == IMAGES_FOLDER else ends[:1]:
                self._wholes.setdefault(whole, []).append(path)

    def find(self, parts: Sequence[str]) -> list[str]:
        """The paths that end as these parts do; or else those of which the parts are an end."""
        wanted = [self._key(part) for part in parts]
        whole = "/".join(wanted)
        found = self._ends.get(whole, [])
        exact = [path for path in found if self._key(path) in (whole, f"{IMAGES_FOLDER}/{whole}")]
        if found:
            return exact[:1] or found
        shorter = ("/".join(wanted[first:]) for first in range(1, len(wanted)))
        return next((hits for end in shorter if (hits := self._wholes.get(end))), [])

    def namesakes(self, name: str) -> list[str]:
        """The paths with this file name, as it is or decoded of a URL's signs."""
        return self._ends.get(self._key(name)) or self._ends.get(self._key(unquote(name)), [])

    def of_stem(self, name: str) -> list[str]:
        """The paths whose file name is this one but for the suffix."""
        return self._stems.get(PurePosixPath(self._key(name)).stem, [])

    @cached_property
    def _stems(self) -> dict[str, list[str]]:
        stems: dict[str, list[str]] = {}
        for path in self._paths:
            stems.setdefault(PurePosixPath(self._key(path)).stem, []).append(path)
        return stems

    def _key(self, text: str) -> str:
        return normal(text).casefold() if self._fold else normal(text)
