"""What Label Studio calls an image, and the file that is meant.

It knows images by URL: an upload (`/data/upload/3/ab12cd34-eye_1.jpg`: a prefix of its own, and
spaces replaced), a file of local storage (`/data/local-files/?d=eyes/eye.jpg`), an object in a
bucket, or a plain name.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, unquote, urlsplit

from iip_assets.ingest.image_files import ImageFiles
from iip_assets.ingest.json_file import BadEntry

_UPLOADED = re.compile(r"[0-9a-f]{8}-(.+)")
_LONGEST = 4096


class TaskImages:
    """The images in an export's folder, by the names that Label Studio has for them."""

    def __init__(self, images: ImageFiles) -> None:
        self._images = images
        self._stored: dict[str, set[str]] = {}
        for name in images.by_name:
            self._stored.setdefault(_stored_name(name), set()).add(name)

    def find(self, url: str, column: str) -> str:
        """The path of the image that a task means.

        As much of its path counts as the folder has. An upload's prefix may be there or not.

        Raises:
            BadEntry: There is none, several would do, or the name leaves the folder.
        """
        if len(url) > _LONGEST:
            raise BadEntry(column, url, "too long for an image's name", "put it into a file")
        path = _path_of(url)
        uploaded = _UPLOADED.fullmatch(path[-1])
        name = uploaded[1] if uploaded else path[-1]
        readings = [path, _parts(url), [name]]
        if uploaded:
            readings += [[stored] for stored in sorted(self._stored.get(name, ()))]
        for parts in readings:
            if ".." in parts:
                fix = "name a file in the folder"
                raise BadEntry(column, url, "a path that leaves its folder", fix)
            found = self._images.find(parts, column, whole=False)
            if found is not None:
                return found
        if self._images.is_link([name]):
            raise BadEntry(column, url, "a link, not a file", "put the file itself there")
        fix = f"put {name} beside the JSON file"
        raise BadEntry(column, url, "no such image in the folder", fix)


def _path_of(url: str) -> list[str]:
    """The folders and the file name in a URL."""
    try:
        split = urlsplit(url)
        local = parse_qs(split.query).get("d")
    except ValueError:  # no URL, such as one with half a bracket
        return _parts(url)
    return _parts(local[-1] if local else unquote(split.path))


def _parts(path: str) -> list[str]:
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    return parts or [path]


def _stored_name(name: str) -> str:
    """The name under which Label Studio (that is, Django) stores an uploaded file."""
    return re.sub(r"[^-\w.]", "", name.strip().replace(" ", "_"))
