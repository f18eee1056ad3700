"""The folder of an export from a labeling tool: which JSON is in it, and where its images are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iip_assets.ingest.image_files import is_plain_file
from iip_assets.ingest.json_file import BadEntry

_ANNOTATIONS_FOLDER = "annotations"


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
