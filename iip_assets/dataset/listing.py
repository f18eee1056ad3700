"""The images and masks that a row may name, and the one that it means."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cached_property

from iip_assets.dataset.layout import is_image_path
from iip_assets.dataset.schema import IMAGE_SUFFIXES, BadCell, parse_path

_ID = re.compile(r"[0-9a-f]{32}")
_SHORT_ID = re.compile(r"[0-9a-f]{8,31}")
# Files of one name that are looked at for a hint.
_MOST_NAMESAKES = 100


class KnownImages:
    """The images of the data, by id, by the beginning of an id, and by path."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        """`paths` has the id of each path under `data/`."""
        self._paths = paths

    @cached_property
    def _ids(self) -> list[str]:
        return sorted(set(self._paths.values()))

    def find(self, text: str) -> str | None:
        """The id of the image that a text names in one of these ways; None where it names none.

        Raises:
            BadCell: Ids of several images begin like this, or none is this id.
        """
        word = text.lower()
        if _ID.fullmatch(word) or _SHORT_ID.fullmatch(word):
            first = bisect_left(self._ids, word)
            hits = [one for one in self._ids[first : first + 2] if one.startswith(word)]
            if len(hits) > 1:
                raise BadCell("ids of several images begin like this", "write the whole id")
            if not hits and _ID.fullmatch(word):
                fix = "write the path of a file in the batch"
                raise BadCell("no image in the data has this id", fix)
            return hits[0] if hits else None
        return self._paths.get(text.removeprefix("data/"))


class Listing:
    """The files of a batch and the images of the data.

    Attributes:
        files: Path within the batch to md5.
        known: The images in the data, which a row may name, too.
    """

    def __init__(self, files: Mapping[str, str], known: KnownImages) -> None:
        self.files = files
        self.known = known

    @cached_property
    def _by_folded(self) -> dict[str, str]:
        return {_folded(path): path for path in self.files}

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self.files:
            found.setdefault(_folded(path).rpartition("/")[2], []).append(path)
        return found

    def find(self, text: str, *, image: bool) -> tuple[str | None, str]:
        """Path within the batch (None where it is of the data) and md5 of what a cell names.

        Raises:
            BadCell: It names no image, or no mask.
        """
        if not text:
            raise BadCell("no image is named", "write the image's path, or delete the row")
        if text not in self.files and (known := self.known.find(text)) is not None:
            return None, known
        try:
            path = parse_path(text)
        except BadCell as bad:
            raise BadCell(bad.reason, self._hint(text, image=image) or bad.fix) from bad
        # macOS spells é in two characters.
        same = self._by_folded.get(_folded(path))
        same = same if same and _normal(same) == _normal(path) else None
        found = path if path in self.files else same
        if found is None:
            fix = f"put {path} into the batch, or delete the row"
            raise BadCell("no such file in the batch", self._hint(text, image=image) or fix)
        if image and not found.lower().endswith(IMAGE_SUFFIXES):
            raise BadCell("not an image's file name", f"name a file of {', '.join(IMAGE_SUFFIXES)}")
        if image and not is_image_path(found):
            raise BadCell("a hidden file or a mask, which is no image", "move it to images/")
        return found, self.files[found]

    def _hint(self, text: str, *, image: bool) -> str | None:
        """The file that a name is likely to mean, whatever its case and its folders, in words."""
        parts = _folded(text.replace("\\", "/")).split("/")
        namesakes = self._by_name.get(parts[-1], ())[:_MOST_NAMESAKES]
        fitting = [path for path in namesakes if is_image_path(path) == image] or namesakes
        agreeing = {path: _common_tail(_folded(path).split("/"), parts) for path in fitting}
        most = max(agreeing.values(), default=0)
        best = [path for path, count in agreeing.items() if count == most]
        return f"did you mean {best[0]}?" if len(best) == 1 else None


def _common_tail(parts: Sequence[str], others: Sequence[str]) -> int:
    pairs = zip(reversed(parts), reversed(others), strict=False)
    differing = (count for count, (one, other) in enumerate(pairs) if one != other)
    return next(differing, min(len(parts), len(others)))


def _folded(path: str) -> str:
    return _normal(path).casefold()


def _normal(path: str) -> str:
    return unicodedata.normalize("NFC", path)
