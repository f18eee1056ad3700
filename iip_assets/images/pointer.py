"""The pointer to the data, `data.dvc`: read without DVC, since every look at the graph reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POINTER_FILE = "data.dvc"

_DIRECTORY_MD5 = re.compile(r"[0-9a-f]{32}\.dir")
_CONFLICT = re.compile(r"^(<{7}|={7}|>{7})( |$)", re.MULTILINE)


class BadPointer(ValueError):
    """`data.dvc` is missing or does not name one folder; the message says how to fix it."""


@dataclass(frozen=True, slots=True)
class DataPointer:
    """What `data.dvc` names.

    Attributes:
        md5: md5 of the folder's listing, ending in `.dir`.
        path: The folder, relative to the workspace.
    """

    md5: str
    path: str


def read_pointer(root: Path) -> DataPointer:
    """The folder that the workspace at `root` tracks.

    Raises:
        BadPointer: `data.dvc` is missing, in conflict, no YAML, or names something other than one
            folder.
    """
    file = root / POINTER_FILE
    try:
        text = file.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise BadPointer(
            f"{file} is missing: no data is tracked here. Put the batches under {root / 'data'} "
            "and run `dvc add data`, or `iip init` for a new workspace"
        ) from error
    except UnicodeDecodeError as error:
        raise _mend(str(file), "is not text", "`git checkout data.dvc`") from error
    return parse_pointer(text, str(file))


def parse_pointer(text: str, file: str) -> DataPointer:
    """The folder that the text of a `data.dvc` names.

    Args:
        text: What is in the file.
        file: Its name, for messages.

    Raises:
        BadPointer: It is in conflict, no YAML, or names something other than one folder.
    """
    if _CONFLICT.search(text):
        raise _mend(
            file,
            "has merge conflict markers",
            "choose a side with `git checkout --ours data.dvc` or `--theirs`, then `dvc checkout`",
        )
    return _pointer_of(file, _parse(file, text))


def _mend(file: str, what: str, how: str) -> BadPointer:
    return BadPointer(f"{file} {what}. To fix it: {how}")


def _parse(file: str, text: str) -> Any:
    import yaml

    # libyaml's loader is ten times as fast where it is built in.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)  # noqa: S506 - both loaders are the safe ones
    except yaml.YAMLError as error:
        first = " ".join(str(error).split())[:200]
        raise _mend(
            file, f"is not YAML ({first})", "`git checkout data.dvc` or `dvc add data`"
        ) from error


def _pointer_of(file: str, content: Any) -> DataPointer:
    outs = content.get("outs") if isinstance(content, dict) else None
    if not isinstance(outs, list) or len(outs) != 1 or not isinstance(outs[0], dict):
        raise _mend(file, "does not name exactly one tracked folder under `outs`", "`dvc add data`")
    out = outs[0]
    md5, path = out.get("md5"), out.get("path")
    if not isinstance(path, str) or not path:
        raise _mend(file, "has no `path`", "`dvc add data`")
    if not isinstance(md5, str):
        raise _mend(
            file,
            "has no `md5` (a version-aware remote lists files one by one, which is not supported)",
            "track the folder in DVC's own cache with `dvc add data`",
        )
    if re.fullmatch(r"[0-9a-f]{32}", md5):
        raise _mend(
            file,
            f"tracks {path!r} as a single file, a folder was expected",
            "`dvc remove data.dvc`, make `data` a folder, `dvc add data`",
        )
    if not _DIRECTORY_MD5.fullmatch(md5):
        raise _mend(file, f"has md5 {md5!r}, expected 32 hex digits and `.dir`", "`dvc add data`")
    if out.get("hash") != "md5":
        # DVC 2 hashed text with its line ends changed: such an md5 is not that of the bytes.
        raise _mend(file, "was written by DVC 2", "`dvc cache migrate --dvc-files`")
    return DataPointer(md5=md5, path=path)
