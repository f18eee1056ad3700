"""The folder of an export: which JSON is in it, and its images by what a labeling tool calls them.

Only names that the folder's own listing gave are ever opened, so no name in an export can lead out
of it; links are not followed.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from iip_assets.dataset.layout import is_image_path
from iip_assets.dataset.schema import BadCell, parse_path
from iip_assets.ingest.formats.json_file import BadEntry

_ANNOTATIONS_FOLDER = "annotations"


@dataclass(frozen=True)
class ImageFiles:
    """Images by path.

    Attributes:
        root: The folder.
        by_name: File name to the paths (relative, forward slashes) of the images of that name.
        links: Paths that are symbolic links, which are not read.
    """

    root: Path
    by_name: Mapping[str, Sequence[str]]
    links: frozenset[str]

    def find(self, parts: Sequence[str], column: str, *, whole: bool) -> str | None:
        """The image whose path ends as the parts do; None when there is none.

        An image at just that path, or there below `images/`, goes before others.

        Args:
            parts: Folders and file name.
            column: Where the name stands, for the problem.
            whole: All parts must agree; else as many as do in any image, the file name at least.

        Raises:
            BadEntry: Several images would do.
        """
        wanted = [_folded(part) for part in parts]
        agreeing: dict[int, list[str]] = {}
        for path in self.by_name.get(wanted[-1], ()):
            agreeing.setdefault(_common_tail(path, wanted), []).append(path)
        best = max(agreeing, default=0)
        if best == 0 or (whole and best < len(wanted)):
            return None
        hits = agreeing[best]
        if len(hits) == 1:
            return hits[0]
        name = "/".join(parts)
        folded = "/".join(wanted)
        for path in hits:
            if _folded(path) in (folded, f"images/{folded}"):
                return path
        raise BadEntry(
            column,
            name,
            f"several images could be meant: {', '.join(sorted(hits)[:3])}",
            "keep one of them in the folder, or name the others differently",
        )

    @contextmanager
    def stream(self, path: str) -> Iterator[BinaryIO]:
        """The bytes of an image; one that became a link since it was listed is not followed."""
        with os.fdopen(os.open(self.root / path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            yield stream

    def is_link(self, parts: Sequence[str]) -> bool:
        """Whether the path, or one that ends in it, is a link."""
        wanted = [_folded(part) for part in parts]
        return any(_common_tail(path, wanted) == len(wanted) for path in self.links)


def list_images(root: Path) -> ImageFiles:
    """List the images below a folder: regular files whose name and place are those of one."""
    by_name: dict[str, list[str]] = {}
    links: set[str] = set()
    for folder, _, names in os.walk(root):
        for name in names:
            file = Path(folder, name)
            path = file.relative_to(root).as_posix()
            if file.is_symlink():
                links.add(path)
            elif is_image_path(path) and _writable(path) and is_plain_file(file):
                by_name.setdefault(_folded(name), []).append(path)
    return ImageFiles(root, {name: sorted(by_name[name]) for name in by_name}, frozenset(links))


def is_plain_file(file: Path) -> bool:
    """Whether it is a regular file, and not a link to one."""
    return file.is_file() and not file.is_symlink()


def _writable(path: str) -> bool:
    """Whether labels.csv can name the path."""
    try:
        return parse_path(path) == path
    except BadCell:
        return False


def _common_tail(path: str, wanted: Sequence[str]) -> int:
    parts = _folded(path).split("/")
    count = 0
    for one, other in zip(reversed(parts), reversed(wanted), strict=False):
        if one != other:
            break
        count += 1
    return count


def _folded(text: str) -> str:
    # Folders that travelled by way of macOS spell é in two characters.
    return unicodedata.normalize("NFC", text)


@dataclass(frozen=True)
class ExportFolder:
    """An export.

    Attributes:
        root: The folder below which its images are.
        files: Its JSON files.
    """

    root: Path
    files: tuple[Path, ...]

    def named(self, file: Path) -> str:
        """The file as problems name it."""
        return file.relative_to(self.root).as_posix()


def open_export(source: Path, *, patterns: Sequence[str]) -> ExportFolder:
    """The export at `source`: a folder, or the JSON file in it.

    Args:
        source: Folder or file.
        patterns: Where JSON files lie in the folder; those of the first that matches any are read.

    Raises:
        BadEntry: There is no such thing, or no JSON in it.
    """
    if source.suffix.lower() == ".zip":
        raise BadEntry(None, source.name, "a ZIP archive", "unpack it, and name the folder")
    if source.is_file():
        inside = source.parent.name == _ANNOTATIONS_FOLDER
        return ExportFolder(source.parent.parent if inside else source.parent, (source,))
    if not source.is_dir():
        raise BadEntry(None, source.name, "no such folder", "name the folder of the export")
    for pattern in patterns:
        files = sorted(
            file
            for file in source.glob(pattern)
            if is_plain_file(file) and not file.name.startswith(".")
        )
        if files:
            return ExportFolder(source, tuple(files))
    raise BadEntry(
        None,
        source.name,
        f"no JSON file in the folder, expected {' or '.join(patterns)}",
        "put the JSON file that the labeling tool exported into the folder",
    )
