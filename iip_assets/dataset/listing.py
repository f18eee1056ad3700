"""The images and masks that a row may name, and the one that it means."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from functools import cached_property

from iip_assets.dataset.layout import is_image_path
from iip_assets.dataset.path_ends import PathEnds, normal
from iip_assets.dataset.schema import IMAGE_SUFFIXES, BadCell, parse_path

_ID = re.compile(r"[0-9a-f]{32}")
_SHORT_ID = re.compile(r"[0-9a-f]{8,31}")


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
    def _by_normal(self) -> dict[str, str]:
        return {normal(path): path for path in self.files}

    @cached_property
    def _ends(self) -> dict[bool, PathEnds]:
        """By whether the files may be images."""
        return {
            image: PathEnds([one for one in self.files if is_image_path(one) == image], fold=True)
            for image in (True, False)
        }

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
        found = path if path in self.files else self._by_normal.get(normal(path))
        if found is None:
            fix = f"put {path} into the batch, or delete the row"
            raise BadCell("no such file in the batch", self._hint(text, image=image) or fix)
        if image and not found.lower().endswith(IMAGE_SUFFIXES):
            raise BadCell("not an image's file name", f"name a file of {', '.join(IMAGE_SUFFIXES)}")
        if image and not is_image_path(found):
            raise BadCell("a hidden file or a mask, which is no image", "move it to images/")
        return found, self.files[found]

    def _hint(self, text: str, *, image: bool) -> str | None:
        """The file that a name is likely to mean, whatever its case, folders and suffix."""
        parts = text.replace("\\", "/").split("/")
        for kind in (True,) if image else (False, True):
            ends = self._ends[kind]
            near = ends.find(parts) or ends.namesakes(parts[-1])
            if near := near or (ends.of_stem(parts[-1]) if kind == image else []):
                return f"did you mean {near[0]}?" if len(near) == 1 else None
        return None
