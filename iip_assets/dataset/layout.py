"""Where things lie under `data/`: which files are images, which batch a file belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from iip_assets.dataset.problems import Problem
from iip_assets.dataset.schema import (
    ANNOTATIONS_FILE,
    BATCHES_FOLDER,
    IMAGE_SUFFIXES,
    LABELING_FILE,
    LABELS_FILE,
    MASKS_FOLDER,
)

_IMAGES_FOLDER = "images"


@dataclass(frozen=True)
class Layout:
    """The files of a data version, sorted out; all in the order of their names."""

    images: Mapping[str, str]  # path to md5 of every file that counts as an image
    batches: Mapping[str, Mapping[str, str]]  # batch name to path within the batch to md5
    strays: tuple[Problem, ...]  # files where images are expected that are none that can be read


def batch_of(path: str) -> str | None:
    """The batch that a path under `data/` belongs to, None outside `batches/`."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == BATCHES_FOLDER else None


def is_image_path(path: str) -> bool:
    """Whether a file counts as an image by name and place: not hidden, not in a masks folder."""
    folders, _, name = path.rpartition("/")
    return (
        name.lower().endswith(IMAGE_SUFFIXES)
        and not name.startswith(".")
        and MASKS_FOLDER not in folders.split("/")
    )


def sort_out(manifest: Mapping[str, str]) -> Layout:
    """Sort the files of a manifest (path to md5) into images, batches and strays."""
    images: dict[str, str] = {}
    batches: dict[str, dict[str, str]] = {}
    strays: list[Problem] = []
    for path in sorted(manifest):
        batch = batch_of(path)
        if batch is not None:
            batches.setdefault(batch, {})[path.split("/", 2)[2]] = manifest[path]
        if is_image_path(path):
            images[path] = manifest[path]
        else:
            stray = _stray(path, batch)
            if stray is not None:
                strays.append(stray)
    return Layout(images, dict(sorted(batches.items())), tuple(strays))


def labeling_md5(manifest: Mapping[str, str], batch: str) -> str | None:
    """md5 of the labeling instructions that a batch was labelled by.

    A batch may carry its own copy, which stays when `data/LABELING.md` changes.
    """
    own = f"{BATCHES_FOLDER}/{batch}/{LABELING_FILE}"
    return manifest.get(own, manifest.get(LABELING_FILE))


def _stray(path: str, batch: str | None) -> Problem | None:
    folders, _, name = path.rpartition("/")
    if name.startswith(".") or name in ("Thumbs.db", "desktop.ini"):
        return None
    if name in (LABELS_FILE, ANNOTATIONS_FILE) and (batch is None or path.count("/") > 2):
        reason = f"labels are only read from data/batches/<batch>/{name}"
        fix = f"move the folder with its {name} and images to data/batches/<batch>"
        return Problem(batch, path, reason, fix)
    if _IMAGES_FOLDER in folders.split("/"):
        fix = f"save it as one of {', '.join(IMAGE_SUFFIXES)}, or delete it"
        return Problem(batch, path, "not an image file by its name", fix)
    return None
