"""Which images go out, and what is said of them: decided from tables alone, no file touched.

What counts now goes out. An image's label, mask and facts are those of the table of images; beside
them go the other labelers of the batch whose label counts. What a later batch corrected does not,
nor do annotations: what comes back would be label rows, and count.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from iip_assets.dataset.schema import ANNOTATIONS_FILE, BATCHES_FOLDER, FACTS

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Opinion:
    """What one labeler says of an image."""

    labeler: str | None
    label: str | None
    mask_id: str | None


@dataclass(frozen=True)
class ExportImage:
    """An image on its way out."""

    image_id: str  # md5 of its bytes
    name: str  # its file name in the export, with folders
    # The other columns of labels.csv and the tags; no value is None.
    facts: Mapping[str, str | float]
    counts: Opinion | None  # the opinion that counts; None when nobody said anything
    others: tuple[Opinion, ...]  # the opinions beside it, by labeler

    @property
    def opinions(self) -> tuple[Opinion, ...]:
        """All opinions, the one that counts first."""
        return () if self.counts is None else (self.counts, *self.others)


def rows_to_export(
    images: pl.DataFrame, label_rows: pl.DataFrame, *, batch: str | None = None
) -> list[ExportImage]:
    """The images that go out, by name: all, or those that a batch brought or said something of.

    Raises:
        LookupError: There is no image, or no such batch.
    """
    rows_of: dict[str, list[dict[str, Any]]] = {}
    for row in label_rows.iter_rows(named=True):
        rows_of.setdefault(row["image_id"], []).append(row)
    chosen = [
        image
        for image in images.iter_rows(named=True)
        if batch is None or batch in _batches(image, rows_of.get(image["image_id"], ()))
    ]
    if not chosen:
        known = {one for image in images.iter_rows(named=True) for one in _batches(image, ())}
        known |= set(label_rows["batch"])
        raise LookupError(
            f"there is no image of a batch {batch!r}; there are {', '.join(sorted(known))}"
            if batch is not None and known
            else "there is no image to export; put a batch into the data first"
        )
    names = _names([image["path"] for image in chosen])
    exported = [
        _export_image(image, name, rows_of.get(image["image_id"], ()))
        for image, name in zip(chosen, names, strict=True)
    ]
    return sorted(exported, key=lambda one: one.name)


def annotations_left(label_rows: pl.DataFrame, *, batch: str | None = None) -> int:
    """How many rows of annotations.csv do not go out, of one batch or of all."""
    return sum(
        row.get("file") == ANNOTATIONS_FILE and not row["current"] and batch in (None, row["batch"])
        for row in label_rows.iter_rows(named=True)
    )


def _batches(image: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> set[str]:
    folders = image["path"].split("/")
    own = {folders[1]} if folders[0] == BATCHES_FOLDER and len(folders) > 2 else set()
    return own | {row["batch"] for row in rows}


def _names(paths: Sequence[str]) -> list[str]:
    """Names for the files at these paths: the batch and what stands below its images folder."""
    short = [
        "/".join(p for p in path.split("/") if p not in (BATCHES_FOLDER, "images"))
        for path in paths
    ]
    # Whole paths differ; a file system that ignores case must not make two of them one.
    folded = [name.casefold() for name in short]
    if len(set(folded)) == len(folded):
        return short
    return [
        f"{PurePosixPath(path).with_suffix('')}-{number}{PurePosixPath(path).suffix}"
        for number, path in enumerate(paths, start=1)
    ]


def _export_image(
    image: Mapping[str, Any], name: str, rows: Sequence[Mapping[str, Any]]
) -> ExportImage:
    facts: dict[str, Any] = {column: image[column] for column in FACTS}
    if facts["captured_at"] is not None:
        facts["captured_at"] = facts["captured_at"].isoformat()
    facts |= json.loads(image["tags"]) if image["tags"] else {}
    current = next((row for row in rows if row["current"]), None)
    if current is None:
        counts, others = None, []
    else:
        counts = _opinion(current)
        others = [
            _opinion(row)
            for row in rows
            if row["batch"] == current["batch"]
            and row is not current
            and row.get("file") != ANNOTATIONS_FILE
        ]
        counts, others = _with_mask(image["mask_id"], counts, others)
    return ExportImage(
        image["image_id"],
        name,
        {column: value for column, value in facts.items() if value is not None},
        counts,
        tuple(sorted(others, key=lambda one: one.labeler or "")),
    )


def _opinion(row: Mapping[str, Any]) -> Opinion:
    return Opinion(row["labeler"], row["label"], row["mask_id"])


def _with_mask(
    mask_id: str | None, counts: Opinion, others: Sequence[Opinion]
) -> tuple[Opinion, list[Opinion]]:
    """The opinions with the mask that counts, which may be of another batch than the label."""
    by_labeler = sorted((counts, *others), key=lambda one: one.labeler or "")
    if next((one.mask_id for one in by_labeler if one.mask_id is not None), None) == mask_id:
        return counts, list(others)
    return replace(counts, mask_id=mask_id), [replace(one, mask_id=None) for one in others]
