"""The manifest joined with the labels: one row per image, and what could not be used."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from iip_assets.dataset.labels import READERS, LabelFile, LabelRow, rows_by_name
from iip_assets.dataset.layout import batch_of, labeling_md5, sort_out
from iip_assets.dataset.listing import KnownImages, Listing
from iip_assets.dataset.problems import problem_frame
from iip_assets.dataset.schema import (
    ANNOTATIONS_FILE,
    BATCHES_FOLDER,
    FACTS,
    MASKS_FOLDER,
    images_schema,
    label_rows_schema,
)

if TYPE_CHECKING:
    import polars as pl

# Batch and file name, to what the file says.
_Parsed = Mapping[tuple[str, str], LabelFile]


@dataclass(frozen=True)
class RawDataset:
    """All that is known of the images."""

    images: pl.DataFrame  # one row per image id
    label_rows: pl.DataFrame  # one row per image, batch, file and labeler
    problems: pl.DataFrame  # what could not be used, and how to fix it
    # Further columns by batch, with the known column that each may have been meant to be.
    tags: Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True)
class _Source:
    """A label row with the batch and the file that it came in."""

    batch: str
    file: str
    row: LabelRow


def files_to_read(manifest: Mapping[str, str]) -> list[str]:
    """md5 of every file whose rows `join_labels` reads."""
    return [md5 for path, md5 in manifest.items() if path.rpartition("/")[2] in READERS]


def join_labels(manifest: Mapping[str, str], read: Callable[[str], bytes]) -> RawDataset:
    """Join every image of a manifest (path to md5) with what the batches' label files say of it.

    Batches count in the order of their names: the newest label wins, and so does the newest word on
    each fact (a correction need not repeat the age). What single labelers say in annotations.csv
    overrules no labels.csv, whatever is newer: only where none has a label (or a mask) the newest
    annotation's counts. Files with equal bytes are one image, known by the first of its paths.
    In a batch without such files a mask is that of the image of its name.
    Images that no row names are unlabelled; outside of a folder images/ a file that no row names
    is no image. `read` gives bytes by md5.
    """
    layout = sort_out(manifest)
    known = KnownImages(layout.candidates)
    parsed = {
        (batch, name): parse(
            read(files[name]),
            batch=batch,
            file=f"{BATCHES_FOLDER}/{batch}/{name}",
            listing=Listing(files, known),
        )
        for batch, files in layout.batches.items()
        for name, parse in READERS.items()
        if name in files
    } | {
        (batch, MASKS_FOLDER): rows_by_name(files, batch=batch, place=f"{BATCHES_FOLDER}/{batch}/")
        for batch, files in layout.batches.items()
        if not READERS.keys() & files.keys()
    }
    rows: dict[str, list[_Source]] = {}
    for (batch, name), label_file in parsed.items():
        for row in label_file.rows:
            rows.setdefault(row.image_id, []).append(_Source(batch, name, row))
    images, unused = layout.images_of(rows, _masks_in_place(parsed))
    paths: dict[str, str] = {}
    for path, md5 in images.items():
        paths.setdefault(md5, path)
    problems = [*layout.strays, *unused]
    problems += [fault for file in parsed.values() for fault in file.problems]
    mask_paths = {md5: path for path, md5 in sorted(manifest.items(), reverse=True)}
    return RawDataset(
        images=_image_frame(paths, rows, mask_paths),
        label_rows=_label_frame(rows, manifest),
        problems=problem_frame(problems),
        tags={batch: found.tags for (batch, _), found in parsed.items() if found.tags},
    )


def _masks_in_place(parsed: _Parsed) -> set[str]:
    """Paths that some row calls a mask."""
    return {
        f"{BATCHES_FOLDER}/{batch}/{row.mask_path}"
        for (batch, _), label_file in parsed.items()
        for row in label_file.rows
        if row.mask_path is not None
    }


def _newest_first(sources: Sequence[_Source]) -> list[_Source]:
    """labels.csv before annotations.csv, then the newest first.

    Within a batch the labeler who comes first in the alphabet, or who spoke last where that is
    known.
    """
    found = sorted(sources, key=lambda one: one.row.labeler or "")
    found.sort(key=lambda one: (one.batch, one.row.labeled_at or datetime.min), reverse=True)
    return sorted(found, key=lambda one: one.file == ANNOTATIONS_FILE)


def _counting(ordered: Sequence[_Source]) -> _Source | None:
    """The row whose label counts: the newest that has one, else the newest."""
    labelled = [one for one in ordered if one.row.label is not None]
    return next(iter(labelled or ordered), None)


def _image_frame(
    paths: Mapping[str, str], rows: Mapping[str, Sequence[_Source]], mask_paths: Mapping[str, str]
) -> pl.DataFrame:
    import polars as pl

    table: list[dict[str, Any]] = []
    for image_id in sorted(paths):
        ordered = _newest_first(rows.get(image_id, ()))
        counts = _counting(ordered)
        masked = next((one for one in ordered if one.row.mask_id is not None), None)
        tags: dict[str, str] = {}
        for one in reversed(ordered):
            tags.update(one.row.tags)
        table.append(
            {
                "image_id": image_id,
                "path": paths[image_id],
                # Where the image came, not where its newest label did: a correction is no batch
                # of images.
                "batch": batch_of(paths[image_id]),
                "label": counts and counts.row.label,
                "mask_id": masked and masked.row.mask_id,
                "mask_path": masked and _mask_path(masked, mask_paths),
                **{name: _newest(ordered, name) for name in FACTS},
                "labeler": counts and counts.row.labeler,
                "tags": json.dumps(tags, sort_keys=True, ensure_ascii=False) if tags else None,
            }
        )
    return pl.DataFrame(table, schema=images_schema(), orient="row")


def _newest(ordered: Sequence[_Source], name: str) -> Any:
    values = (getattr(one.row, name) for one in ordered)
    return next((value for value in values if value is not None), None)


def _mask_path(source: _Source, mask_paths: Mapping[str, str]) -> str | None:
    if source.row.mask_path is not None:
        return f"{BATCHES_FOLDER}/{source.batch}/{source.row.mask_path}"
    return mask_paths.get(source.row.mask_id or "")


def _label_frame(
    rows: Mapping[str, Sequence[_Source]], manifest: Mapping[str, str]
) -> pl.DataFrame:
    import polars as pl

    schema = label_rows_schema()
    table: list[dict[str, Any]] = []
    for image_id in sorted(rows):
        ordered = _newest_first(rows[image_id])
        counts = _counting(ordered)
        table += [
            {
                **{name: getattr(one.row, name, None) for name in schema},
                "batch": one.batch,
                "labeling_md5": labeling_md5(manifest, one.batch),
                "file": one.file,
                "current": one is counts,
            }
            for one in reversed(ordered)
        ]
    return pl.DataFrame(table, schema=schema, orient="row")
