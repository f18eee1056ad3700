"""Which images go out, and what is said of them: decided from tables alone, no file touched.

What counts now goes out. An image's label, mask and facts are those of the table of images; beside
them go the other labelers of the batch whose label counts, and each labeler's newest annotation.
What a later batch corrected does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from iip_assets.dataset.layout import IMAGES_FOLDER
from iip_assets.dataset.schema import ANNOTATIONS_FILE, BATCHES_FOLDER, FACTS
from iip_assets.metrics.names import FILTER_CLASSES

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Opinion:
    """What one labeler says of an image."""

    labeler: str | None
    label: str | None
    mask_id: str | None
    labeled_at: datetime | None = None


@dataclass(frozen=True)
class Suggestion:
    """What a model proposes for an image, for a labeler to accept or to change.

    Attributes:
        model: Which model.
        score: How sure it is, from 0 to 1.
        label: The word, if any.
        mask: Draws the mask (H, W), if any.
    """

    model: str
    score: float
    label: str | None = None
    mask: Callable[[], NDArray[np.uint8]] | None = None


@dataclass(frozen=True)
class ExportImage:
    """An image on its way out."""

    image_id: str  # md5 of its bytes
    name: str  # its file name in the export, with folders
    # The other columns of labels.csv and the tags; no value is None.
    facts: Mapping[str, str | float]
    counts: Opinion | None  # the opinion that counts; None when nobody said anything
    others: tuple[Opinion, ...]  # the opinions beside it
    suggestion: Suggestion | None = None  # what a model proposes

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


def rows_to_label(
    chosen: pl.DataFrame, images: pl.DataFrame, label_rows: pl.DataFrame
) -> list[ExportImage]:
    """The images that are to be labelled, the first first, each with what is promised of its label.

    Those that were labelled meanwhile are left out.

    Args:
        chosen: `rank`, `image_id`, `promised_gain` and `prob_<class>`, null without a filter.
        images: The table of images.
        label_rows: What was said of them.

    Raises:
        LookupError: There is none.
    """
    rows = chosen.join(images.filter(images["label"].is_null()), on="image_id").sort("rank")
    if rows.is_empty():
        raise LookupError("all images that were chosen are labelled by now; run `iip refresh`")
    unlabelled = images.join(rows, on="image_id", how="semi")
    by_id = {one.image_id: one for one in rows_to_export(unlabelled, label_rows)}
    found = []
    for row in rows.iter_rows(named=True):
        score, word = max((row[f"prob_{name}"] or 0.0, name) for name in FILTER_CLASSES)
        one = by_id[row["image_id"]]
        facts = {**one.facts, "promised_gain": f"{row['promised_gain']:.6g}"}
        suggestion = Suggestion("filter", score, label=word) if score else None
        found.append(replace(one, facts=facts, suggestion=suggestion))
    return found


def _batches(image: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> set[str]:
    folders = image["path"].split("/")
    own = {folders[1]} if folders[0] == BATCHES_FOLDER and len(folders) > 2 else set()
    return own | {row["batch"] for row in rows}


def _names(paths: Sequence[str]) -> list[str]:
    """Names for the files at these paths: the batch and what stands below its images folder.

    No two are one to a file system that ignores case.
    """
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        parts = [part for part in path.split("/") if part not in (BATCHES_FOLDER, IMAGES_FOLDER)]
        short = name = PurePosixPath(*parts)
        count = 1
        while str(name).casefold() in taken:
            count += 1
            name = short.with_stem(f"{short.stem}-{count}")
        taken.add(str(name).casefold())
        names.append(str(name))
    return names


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
        # The one that counts says what counts, also where its mask is of another row.
        counts = replace(_opinion(current), mask_id=image["mask_id"])
        others = [
            _opinion(row)
            for row in rows
            if row["batch"] == current["batch"]
            and row is not current
            and row.get("file") != ANNOTATIONS_FILE
        ]
        # The newest stand last, so that of each labeler's annotations the newest stays.
        beside = {
            row["labeler"]: row
            for row in rows
            if row.get("file") == ANNOTATIONS_FILE and row is not current
        }
        others += map(_opinion, beside.values())
    return ExportImage(
        image["image_id"],
        name,
        {column: value for column, value in facts.items() if value is not None},
        counts,
        tuple(others),
    )


def _opinion(row: Mapping[str, Any]) -> Opinion:
    return Opinion(row["labeler"], row["label"], row["mask_id"], row.get("labeled_at"))
