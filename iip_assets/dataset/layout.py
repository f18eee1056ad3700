"""Where things lie under `data/`: which files are images, which batch a file belongs to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Mapping
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

IMAGES_FOLDER = "images"

# Files that people and tools write labels into, by a word of their path and by their suffix.
_LABEL_WORDS = re.compile(r"label|lable|annotation|segmentation")
_LABEL_SUFFIXES = (
    *(".csv", ".tsv", ".txt", ".xls", ".xlsx", ".ods", ".numbers", ".parquet"),
    *(".json", ".jsonl", ".xml", ".yaml", ".yml"),
)


@dataclass(frozen=True)
class Layout:
    """The files of a data version, sorted out; all in the order of their names."""

    images: Mapping[str, str]  # path to md5 of every file that is an image by name and place
    # Path to md5 of image files elsewhere in a batch: they are images if a row says something of
    # them.
    elsewhere: Mapping[str, str]
    batches: Mapping[str, Mapping[str, str]]  # batch name to path within the batch to md5
    strays: tuple[Problem, ...]  # files that hold something which is not read

    @property
    def candidates(self) -> dict[str, str]:
        """Path to md5 of all files that are images or may be, in the order of their names."""
        return dict(sorted({**self.images, **self.elsewhere}.items()))

    def images_of(
        self, described: Container[str], masks: Container[str]
    ) -> tuple[dict[str, str], list[Problem]]:
        """The images (path to md5), and the image files that are neither images nor masks.

        Nothing becomes an image by chance: outside of an images folder a row must describe it, and
        what a row calls a mask is none, wherever it lies, unless a row describes it too.

        Args:
            described: The image ids that rows say something of.
            masks: The paths that rows call masks.
        """
        images = {
            path: md5
            for path, md5 in self.candidates.items()
            if md5 in described or (path in self.images and path not in masks)
        }
        unused = [
            Problem(
                batch_of(path),
                path,
                "an image file that no row names and that lies in no folder images/",
                "move it to images/, name it in a row, as image or as mask, or delete it",
            )
            for path in self.elsewhere
            if path not in images and path not in masks
        ]
        return images, unused


def batch_of(path: str) -> str | None:
    """The batch that a path under `data/` belongs to, None outside `batches/`."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == BATCHES_FOLDER else None


def lies_in(path: str, folder: str) -> bool:
    """Whether a folder of this name, in whatever case, is on the way to the file."""
    return folder in path.casefold().split("/")[:-1]


def is_image_path(path: str) -> bool:
    """Whether a file may be an image by name and place: not hidden, not in a masks folder."""
    name = path.rpartition("/")[2]
    return (
        name.lower().endswith(IMAGE_SUFFIXES)
        and not name.startswith(".")
        and not lies_in(path, MASKS_FOLDER)
    )


def may_hold_labels(path: str) -> bool:
    """Whether a file that is not read holds labels, as far as its path and its kind tell."""
    folded = path.casefold()
    return folded.endswith(_LABEL_SUFFIXES) and _LABEL_WORDS.search(folded) is not None


def sort_out(manifest: Mapping[str, str]) -> Layout:
    """Sort the files of a manifest (path to md5) into images, batches and strays."""
    images: dict[str, str] = {}
    elsewhere: dict[str, str] = {}
    batches: dict[str, dict[str, str]] = {}
    strays: list[Problem] = []
    for path in sorted(manifest):
        batch = batch_of(path)
        within = path if batch is None else path.split("/", 2)[2]
        if batch is not None:
            batches.setdefault(batch, {})[within] = manifest[path]
        if is_image_path(within):
            of_kind = images if batch is None or lies_in(within, IMAGES_FOLDER) else elsewhere
            of_kind[path] = manifest[path]
        else:
            stray = _stray(path, within, batch)
            if stray is not None:
                strays.append(stray)
    return Layout(images, elsewhere, dict(sorted(batches.items())), tuple(strays))


def labeling_md5(manifest: Mapping[str, str], batch: str) -> str | None:
    """md5 of the labeling instructions that a batch was labelled by.

    A batch may carry its own copy, which stays when `data/LABELING.md` changes.
    """
    own = f"{BATCHES_FOLDER}/{batch}/{LABELING_FILE}"
    return manifest.get(own, manifest.get(LABELING_FILE))


def _stray(path: str, within: str, batch: str | None) -> Problem | None:
    name = path.rpartition("/")[2]
    told = None
    if name.startswith(".") or name in ("Thumbs.db", "desktop.ini"):
        return None
    if name in (LABELS_FILE, ANNOTATIONS_FILE):
        if batch is None:
            reason = f"labels are only read from data/batches/<batch>/{name}"
            fix = f"move the folder with its {name} and images to data/batches/<batch>"
            told = reason, fix
        elif within != name:
            reason = "labels are only read at the top of a batch's folder"
            fix = (
                "move it there and write the paths in it from there; or, if the folder that it "
                "lies in is the whole batch, ingest that one"
            )
            told = reason, fix
    elif lies_in(within, MASKS_FOLDER):
        pass  # whether a row names it is another question
    elif lies_in(within, IMAGES_FOLDER):
        fix = f"save it as one of {', '.join(IMAGE_SUFFIXES)}, or delete it"
        if name.lower().endswith(_LABEL_SUFFIXES):
            fix = (
                f"no reader uses it: labels come in {LABELS_FILE}, or as an export of COCO or "
                "Label Studio (`iip ingest --format`); bring them there, and delete it"
            )
        told = "not an image file by its name", fix
    elif batch is not None and may_hold_labels(within):
        reason = f"not read: the rows of a batch stand in {LABELS_FILE} and {ANNOTATIONS_FILE}"
        told = reason, _fix_of_name(name.casefold())
    return None if told is None else Problem(batch, path, *told)


def _fix_of_name(name: str) -> str:
    if name.startswith(LABELING_FILE.partition(".")[0].lower()):
        return f"call it {LABELING_FILE} if it tells how to label, or delete it"
    meant = difflib.get_close_matches(name, (LABELS_FILE, ANNOTATIONS_FILE))
    if meant and name.endswith(".csv"):
        return f"call it {meant[0]}, in the batch's folder, or delete it"
    return f"bring it into the form of {LABELS_FILE} and give it that name, or delete it"
