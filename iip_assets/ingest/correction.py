"""Batches that correct what the data say, written and ingested like any other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

from iip_assets.dataset.csv_file import csv_text
from iip_assets.dataset.labels import parse_label
from iip_assets.dataset.listing import KnownImages
from iip_assets.dataset.raw import files_to_read, join_labels
from iip_assets.dataset.schema import LABELS, LABELS_FILE, MASKS_FOLDER, BadCell
from iip_assets.engine.atomic import new_folder
from iip_assets.images.dvc_data import MissingData, read_manifest, read_pointer
from iip_assets.ingest.batch_check import PresentData, read_present
from iip_assets.ingest.ingest import ingest_folder
from iip_assets.ingest.verdict import Ingested
from iip_assets.where import paths_under_data

_DIGITS = 12
_MARK = "-label-"


def correct_label(
    root: Path,
    image: str,
    label: str,
    *,
    labeler: str | None = None,
    dry_run: bool = False,
    log: Callable[[str], None],
) -> Ingested:
    """Takes a batch into the data that says of one image that it is labelled so.

    Its name comes after those of all batches, so that its label counts. Where the label that counts
    is this one, and its labeler if one is given, nothing is changed.

    Args:
        root: The workspace.
        image: The image's path under `data/` or from the current folder, its id, or the beginning
            of that.
        label: The label.
        labeler: Who says so.
        dry_run: Say what would happen and change nothing.
        log: Gets what is worth knowing on the way.

    Raises:
        LookupError: The data have no such image, or several.
        ValueError: It is no label.
    """
    present = read_present(root)
    try:
        image_id = KnownImages(present.paths).find(image) or _image_at(root, image, present)
    except BadCell as bad:
        raise LookupError(f"{image}: {bad.reason}; {bad.fix}") from bad
    if image_id is None:
        raise LookupError(
            f"{image} is no image of the data: give its path under data/, or its id (8 digits at "
            "least), as `iip show raw_dataset` has them"
        )
    try:
        row = {"image": image_id, "label": parse_label(label)}
    except BadCell as bad:
        raise ValueError(f"{label!r}: {bad.reason}; write one of {', '.join(LABELS)}") from bad
    if labeler:
        row["labeler"] = labeler
    pointer = read_pointer(root)
    batch = _said_by(dict(read_manifest(root, pointer.md5).iter_rows()), row, present)
    if batch is not None:
        log(f"{image} is labelled {row['label']} already")
        return Ingested(batch, "present", images=0, data_version=pointer.md5)
    with tempfile.TemporaryDirectory(prefix="iip-label-") as scratch:
        folder = Path(scratch) / _name(present.batches, image_id)
        folder.mkdir()
        table = csv_text(list(row), [row])
        (folder / LABELS_FILE).write_text(table, encoding="utf-8")
        return ingest_folder(root, folder, dry_run=dry_run, log=log)


def write_corrections(
    root: Path,
    folder: Path,
    rows: Mapping[str, Mapping[str, str]],
    masks: Mapping[str, bytes] | None = None,
) -> None:
    """Writes a batch that corrects images of the data, for a person to look at and to ingest.

    Args:
        root: The workspace.
        folder: The batch's folder, which must be new; it appears when it is whole.
        rows: By image id the columns of labels.csv that change.
        masks: By image id the PNG of its mask, where that changes.

    Raises:
        ValueError: The folder is there, or its name sorts before that of a batch of the data, which
            would count instead.
    """
    if folder.exists():
        raise ValueError(f"{folder} is there already: name a new folder")
    newest = max(read_present(root).batches, default="")
    if folder.name <= newest:
        raise ValueError(
            f"{folder.name} sorts before the batch {newest}, which would count: name it so that it "
            f"comes after, such as {newest}-corrected"
        )
    table = {image_id: {"image": image_id, **row} for image_id, row in rows.items()}
    with new_folder(folder) as making:
        for image_id, png in (masks or {}).items():
            name = f"{MASKS_FOLDER}/{image_id}.png"
            (making / MASKS_FOLDER).mkdir(exist_ok=True)
            (making / name).write_bytes(png)
            table.setdefault(image_id, {"image": image_id})["mask"] = name
        columns = list(dict.fromkeys(name for row in table.values() for name in row))
        (making / LABELS_FILE).write_text(csv_text(columns, table.values()), encoding="utf-8")


def _image_at(root: Path, word: str, present: PresentData) -> str | None:
    found = (present.paths.get(path) for path in paths_under_data(root, word))
    return next((one for one in found if one is not None), None)


def _said_by(
    manifest: Mapping[str, str], row: Mapping[str, str], present: PresentData
) -> str | None:
    """The batch whose label of the image counts and says the same; None where there is none."""
    wanted = {name: value for name, value in row.items() if name != "image"}
    try:
        present.fetch(files_to_read(manifest))
        rows = join_labels(manifest, present.read).label_rows
    except MissingData:  # then it can be said once more
        return None
    said = rows.filter("current", image_id=row["image"], file=LABELS_FILE, **wanted)
    return said["batch"][0] if said.height else None


def _name(batches: Iterable[str], image_id: str) -> str:
    now = datetime.now()
    newest = max(batches, default="").partition(_MARK)[0]
    stem = max(f"{now:%Y-%m-%d}", newest)
    return f"{stem}{_MARK}{now:%Y%m%dT%H%M%S.%f}-{image_id[:_DIGITS]}"
