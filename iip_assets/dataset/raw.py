"""The manifest joined with the labels: one row per image, and what could not be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from iip_assets.dataset.annotations import parse_annotations
from iip_assets.dataset.labels import LabelFile, LabelRow, Listing, parse_labels
from iip_assets.dataset.layout import Layout, batch_of, labeling_md5, sort_out
from iip_assets.dataset.problems import problem_frame
from iip_assets.dataset.schema import (
    ANNOTATIONS_FILE,
    BATCHES_FOLDER,
    FACTS,
    LABELS_FILE,
    images_schema,
    label_rows_schema,
)

if TYPE_CHECKING:
    import polars as pl

# Batch and file name, to what the file says.
_Parsed = Mapping[tuple[str, str], LabelFile]
_READERS = {LABELS_FILE: parse_labels, ANNOTATIONS_FILE: parse_annotations}


@dataclass(frozen=True)
class RawDataset:
    """All that is known of the images.

    Attributes:
        images: One row per image id.
        label_rows: One row per image, batch, file and labeler.
        problems: What could not be used, and how to fix it.
        tags: Further columns by batch, with the known column that each may have been meant to be.
    """

    images: pl.DataFrame
    label_rows: pl.DataFrame
    problems: pl.DataFrame
    tags: Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True)
class _Told:
    """A label row with the batch and the file that it came in."""

    batch: str
    file: str
    row: LabelRow


def files_to_read(manifest: Mapping[str, str]) -> list[str]:
    """md5 of every file whose rows `join_labels` reads."""
    return [md5 for path, md5 in manifest.items() if path.rpartition("/")[2] in _READERS]


def join_labels(manifest: Mapping[str, str], read: Callable[[str], bytes]) -> RawDataset:
    """Join every image of a manifest with what the batches' labels.csv files say of it.

    Batches count in the order of their names: the newest label wins, and so does the newest word on
    each fact (a correction need not repeat the age). What single labelers say in annotations.csv
    overrules no labels.csv, whatever is newer: only where none has a label (or a mask) the newest
    annotation's counts. Files with equal bytes are one image, known by the first of its paths.
    Images that no row names are unlabelled.

    Args:
        manifest: Path under `data/` to md5.
        read: Bytes by md5.
    """
    layout = sort_out(manifest)
    parsed = {
        (batch, name): _parse(batch, name, files, layout, read)
        for batch, files in layout.batches.items()
        for name in _READERS
        if name in files
    }
    told: dict[str, list[_Told]] = {}
    for (batch, name), label_file in parsed.items():
        for row in label_file.rows:
            told.setdefault(row.image_id, []).append(_Told(batch, name, row))
    masks = _masks_in_place(parsed)
    paths: dict[str, str] = {}
    for path, md5 in layout.images.items():
        if path not in masks or md5 in told:
            paths.setdefault(md5, path)
    problems = [*layout.strays, *(fault for file in parsed.values() for fault in file.problems)]
    mask_paths = {md5: path for path, md5 in sorted(manifest.items(), reverse=True)}
    return RawDataset(
        images=_image_frame(paths, told, mask_paths),
        label_rows=_label_frame(told, manifest),
        problems=problem_frame(problems),
        tags={batch: found.tags for (batch, _), found in parsed.items() if found.tags},
    )


def _parse(
    batch: str,
    name: str,
    files: Mapping[str, str],
    layout: Layout,
    read: Callable[[str], bytes],
) -> LabelFile:
    return _READERS[name](
        read(files[name]),
        batch=batch,
        file=f"{BATCHES_FOLDER}/{batch}/{name}",
        listing=Listing(files, frozenset(layout.images.values())),
    )


def _masks_in_place(parsed: _Parsed) -> set[str]:
    """Paths that some row calls a mask: no images, whatever folder they lie in, unless labelled."""
    return {
        f"{BATCHES_FOLDER}/{batch}/{row.mask_path}"
        for (batch, _), label_file in parsed.items()
        for row in label_file.rows
        if row.mask_path is not None
    }


def _newest(told: Sequence[_Told], name: str) -> Any:
    for one in told:
        value = getattr(one.row, name)
        if value is not None:
            return value
    return None


def _order(told: Sequence[_Told]) -> list[_Told]:
    """labels.csv before annotations.csv, then the newest first.

    Within a batch the labeler who comes first in the alphabet, or who spoke last where that is
    known.
    """
    by_labeler = sorted(told, key=lambda one: one.row.labeler or "")
    in_time = sorted(by_labeler, key=lambda one: one.row.labeled_at or datetime.min, reverse=True)
    by_batch = sorted(in_time, key=lambda one: one.batch, reverse=True)
    return sorted(by_batch, key=lambda one: one.file != LABELS_FILE)


def _counting(told: Sequence[_Told]) -> _Told | None:
    """The row whose label counts: the newest that has one, else the newest."""
    labelled = [one for one in told if one.row.label is not None]
    return next(iter(labelled or told), None)


def _image_frame(
    paths: Mapping[str, str], told: Mapping[str, Sequence[_Told]], mask_paths: Mapping[str, str]
) -> pl.DataFrame:
    import polars as pl

    rows: list[dict[str, Any]] = []
    for image_id in sorted(paths):
        rows_of_image = _order(told.get(image_id, ()))
        counts = _counting(rows_of_image)
        masked = next((one for one in rows_of_image if one.row.mask_id is not None), None)
        tags: dict[str, str] = {}
        for one in reversed(rows_of_image):
            tags.update(one.row.tags)
        rows.append(
            {
                "image_id": image_id,
                "path": paths[image_id],
                "batch": batch_of(paths[image_id]) if counts is None else counts.batch,
                "label": None if counts is None else counts.row.label,
                "mask_id": None if masked is None else masked.row.mask_id,
                "mask_path": None if masked is None else _mask_path(masked, mask_paths),
                **{name: _newest(rows_of_image, name) for name in FACTS},
                "labeler": None if counts is None else counts.row.labeler,
                "tags": json.dumps(tags, sort_keys=True, ensure_ascii=False) if tags else None,
            }
        )
    return pl.DataFrame(rows, schema=images_schema(), orient="row")


def _mask_path(told: _Told, mask_paths: Mapping[str, str]) -> str | None:
    if told.row.mask_path is not None:
        return f"{BATCHES_FOLDER}/{told.batch}/{told.row.mask_path}"
    return mask_paths.get(told.row.mask_id or "")


def _label_frame(told: Mapping[str, Sequence[_Told]], manifest: Mapping[str, str]) -> pl.DataFrame:
    import polars as pl

    rows: list[dict[str, Any]] = []
    for image_id in sorted(told):
        ordered = _order(told[image_id])
        counts = _counting(ordered)
        rows.extend(
            {
                "image_id": image_id,
                "batch": one.batch,
                "labeler": one.row.labeler,
                "label": one.row.label,
                "mask_id": one.row.mask_id,
                "subject_id": one.row.subject_id,
                "labeling_md5": labeling_md5(manifest, one.batch),
                "file": one.file,
                "labeled_at": one.row.labeled_at,
                "current": one is counts,
            }
            for one in reversed(ordered)
        )
    return pl.DataFrame(rows, schema=label_rows_schema(), orient="row")
