"""The images in the folder of an export, and which of them an entry of the export means.

Only names that the folder's own listing gave are ever opened, so no name in an export can lead out
of it; links are not followed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

from iip_assets.dataset.layout import IMAGES_FOLDER, is_image_path
from iip_assets.dataset.path_ends import PathEnds
from iip_assets.dataset.schema import IMAGE_SUFFIXES, BadCell, parse_path
from iip_assets.ingest.formats.export_files import BadEntry, is_plain_file

_LONGEST_NAME = 4096
# What Label Studio puts before the name of an upload.
_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
_DRIVE = re.compile(r"[A-Za-z]:")


class ImageFiles:
    """The images below a folder, found by whatever name a labeling tool has for them.

    Attributes:
        root: The folder.
    """

    def __init__(
        self, root: Path, paths: Iterable[str], others: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        """`paths` are those of the images, `others` has why a file is none, and what to do."""
        self.root = root
        paths = sorted(paths)
        self._plain = PathEnds(paths, fold=False)
        self._folded = PathEnds(paths, fold=True, alias=_stored)
        self._others = others or {}

    def find(self, name: str, column: str, *, folders: Sequence[str] = ()) -> str:
        """The path of the one image that a name means.

        Tools name images by a path, a URL, a path of another machine, or as they stored an upload
        (`/data/upload/3/ab12cd34-eye_1.jpg`). The image's own path and the name must agree from the
        file name on, as far as both go; what agrees in more folders goes before, and what agrees in
        case. Where the name is of another machine, the file name alone will do.

        Args:
            name: The name.
            column: Where it stands, for the problem.
            folders: Those that the image may lie in, though the name lacks them.

        Raises:
            BadEntry: There is none, or several would do.
        """
        if len(name) > _LONGEST_NAME:
            raise BadEntry(column, name, "too long for an image's name", "put it into a file")
        readings = list(_readings(name))
        within = [[folder, *readings[0]] for folder in folders if folder]
        for ends in (self._plain, self._folded):
            for parts in (*within, *readings):
                hits = ends.find(parts)
                if len(hits) == 1:
                    return hits[0]
                if hits:
                    raise BadEntry(
                        column,
                        "/".join(parts),
                        f"several images could be meant: {', '.join(hits[:3])}",
                        "keep one of them in the folder, or name the others differently",
                    )
        for parts in (*within, *readings):
            for path in ("/".join(parts), "/".join((IMAGES_FOLDER, *parts))):
                if path in self._others:
                    reason, fix = self._others[path]
                    raise BadEntry(column, name, f"{path} is {reason}", fix)
        near = self._folded.namesakes(readings[0][-1]) or self._folded.of_stem(readings[0][-1])
        fix = f"did you mean {near[0]}?" if near else _put_where(readings)
        raise BadEntry(column, name, "no such image in the folder", fix)

    @contextmanager
    def stream(self, path: str) -> Iterator[BinaryIO]:
        """The bytes of an image; one that became a link since it was listed is not followed."""
        with os.fdopen(os.open(self.root / path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            yield stream


def list_images(root: Path) -> ImageFiles:
    """The images below a folder: regular files whose name and place are those of one."""
    images: list[str] = []
    others: dict[str, tuple[str, str]] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name).relative_to(root).as_posix()
            fault = _fault(root / path, path)
            if fault is None:
                images.append(path)
            else:
                others[path] = fault
    return ImageFiles(root, images, others)


def _fault(file: Path, path: str) -> tuple[str, str] | None:
    """Why a file is no image by its name and place, and what to do; None where it is one."""
    if file.is_symlink():
        return "a link, not a file", "put the file itself there"
    if not path.lower().endswith(IMAGE_SUFFIXES):
        return "no image by its name", f"save it as one of {', '.join(IMAGE_SUFFIXES)}"
    if not is_image_path(path):
        return "a hidden file or a mask, which is no image", f"move it to {IMAGES_FOLDER}/"
    if not _writable(path) or not is_plain_file(file):
        return "a file that no row could name", "give it a plain name"
    return None


def _put_where(readings: Sequence[Sequence[str]]) -> str:
    """What to do where there is no image of a name: a place at which it would be found."""
    # The folders of another machine mean nothing here.
    for length in (len(readings[-1]), 1):
        for parts in readings:
            path = "/".join(parts[-length:]).removeprefix(f"{IMAGES_FOLDER}/")
            if is_image_path(path) and _writable(path) and "?" not in path:
                return f"put it at {IMAGES_FOLDER}/{path}, or export again with the images"
    return f"name an image file there, such as {IMAGES_FOLDER}/a.jpg"


def _readings(name: str) -> Iterator[list[str]]:
    """The folders and the file name in a name, read in every way that it may be meant."""
    plain = _parts(name)
    try:
        split = urlsplit(name)
        local = parse_qs(split.query).get("d")
    except ValueError:  # no URL, such as one with half a bracket
        yield plain
        return
    is_url = bool(local) or "://" in name
    path = _parts(local[-1] if local else unquote(split.path))
    yield from (path, plain) if is_url else (plain, path)
    uploaded = _UPLOADED.fullmatch(path[-1])
    if uploaded:
        yield [uploaded[1]]
    folders = name.replace("\\", "/")
    if is_url or folders.startswith(("/", "../")) or _DRIVE.match(folders):
        yield [path[-1]]
        yield [plain[-1]]


def _parts(path: str) -> list[str]:
    """The parts of a path, but those that lead out of its folder."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    within = parts[len(parts) - parts[::-1].index("..") :] if ".." in parts else parts
    return within or [path]


def _stored(name: str) -> str:
    """A file name as Label Studio (that is, Django) stores an upload of it."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))


def _writable(path: str) -> bool:
    """Whether labels.csv can name the path."""
    try:
        return parse_path(path) == path
    except BadCell:
        return False
