"""A batch that corrects one label of the data, written and ingested like any other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from iip_assets.dataset.csv_file import csv_text
from iip_assets.dataset.labels import parse_label
from iip_assets.dataset.listing import KnownImages
from iip_assets.dataset.schema import LABELS_FILE, BadCell
from iip_assets.ingest.batch_check import read_present
from iip_assets.ingest.ingest import ingest_folder
from iip_assets.ingest.verdict import Ingested

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

    Its name comes after those of all batches, so that its label counts.

    Args:
        root: The workspace.
        image: The image's path under `data/`, its id, or the beginning of that.
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
        image_id = KnownImages(present.paths).find(image)
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
        raise ValueError(f"{label!r}: {bad.reason}; {bad.fix}") from bad
    if labeler:
        row["labeler"] = labeler
    with tempfile.TemporaryDirectory(prefix="iip-label-") as scratch:
        folder = Path(scratch) / _name(present.batches, image_id)
        folder.mkdir()
        table = csv_text(list(row), [row])
        (folder / LABELS_FILE).write_text(table, encoding="utf-8")
        return ingest_folder(root, folder, dry_run=dry_run, log=log)


def _name(batches: Iterable[str], image_id: str) -> str:
    now = datetime.now()
    newest = max(batches, default="").partition(_MARK)[0]
    stem = max(f"{now:%Y-%m-%d}", newest)
    return f"{stem}{_MARK}{now:%Y%m%dT%H%M%S.%f}-{image_id[:_DIGITS]}"
