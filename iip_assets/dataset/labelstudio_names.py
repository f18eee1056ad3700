"""What Label Studio calls a picture, and the file that is meant.

It knows pictures by URL: an upload (`/data/upload/3/ab12cd34-eye.jpg`, with a prefix of its own), a
file of local storage (`/data/local-files/?d=eyes/eye.jpg`), a bucket's object, or a plain name.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from iip_assets.dataset.json_file import BadEntry
from iip_assets.dataset.picture_files import PictureFiles

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
_LONGEST = 4096


def find_picture(url: str, pictures: PictureFiles, column: str) -> str:
    """The picture in the export's folder that a task means.

    As much of its path counts as the folder has. An upload's prefix may be there or not.

    Raises:
        BadEntry: There is none, several would do, or the name leaves the folder.
    """
    if len(url) > _LONGEST:
        raise BadEntry(column, url, "too long for a picture's name", "put the picture into a file")
    for parts in _readings(url):
        if ".." in parts:
            raise BadEntry(
                column, url, "a path that leaves its folder", "name a file in the folder"
            )
        found = pictures.find(parts, column, whole=False)
        if found is not None:
            return found
    name = _readings(url)[-1][-1]
    if pictures.is_link([name]):
        raise BadEntry(column, url, "a link, not a file", "put the file itself there")
    raise BadEntry(column, url, "no such picture in the folder", f"put {name} beside the JSON file")


def _readings(url: str) -> list[list[str]]:
    """The ways to read it, as folders and file name: as a plain path first, as a URL then."""
    plain = _parts(url)
    try:
        split = urlsplit(url)
        local = parse_qs(split.query).get("d")
        path = _parts(local[-1] if local else unquote(split.path))
    except ValueError:  # no URL, such as one with half a bracket
        path = plain
    uploaded = _UPLOADED.fullmatch(path[-1])
    return [plain, path, *([[uploaded[1]]] if uploaded else [])]


def _parts(path: str) -> list[str]:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return parts or [path]
