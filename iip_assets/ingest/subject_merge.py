"""A batch that says of images of two subjects that they are of one, so that one split has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from iip_assets.dataset.csv_file import csv_text
from iip_assets.dataset.schema import LABELS_FILE
from iip_assets.ingest.batch_check import read_present

if TYPE_CHECKING:
    import polars as pl

_DIGITS = 12


def merge_rows(pairs: Iterable[tuple[str, str]], images: pl.DataFrame) -> list[Mapping[str, str]]:
    """Rows of labels.csv, `image` and `subject_id`, that give the images of each pair one subject.

    All images of the subjects of a pair get it, as a person who stands on two sides stays a leak.
    Of several subjects the one with the most images gives the name; where none is known, the first
    image's id does.

    Args:
        pairs: Image ids.
        images: `image_id`, `subject_id`.
    """
    from scipy.cluster.hierarchy import DisjointSet

    subjects = dict(images.select("image_id", "subject_id").iter_rows())
    sizes = Counter(one for one in subjects.values() if one is not None)
    joined: DisjointSet = DisjointSet()
    for pair in pairs:
        # Ids and subjects are told apart by their first word.
        ends = [("image", one) for one in pair]
        ends += [("subject", subjects[one]) for one in pair if subjects.get(one) is not None]
        for one in ends:
            joined.add(one)
            joined.merge(ends[0], one)
    name_of: dict[tuple[str, str | None], str] = {}
    for group in joined.subsets():
        known = [name for kind, name in group if kind == "subject"]
        first = min(name for kind, name in group if kind == "image")
        name = min(known, key=lambda one: (-sizes[one], one), default=f"image-{first[:_DIGITS]}")
        name_of |= dict.fromkeys(group, name)
    rows: list[Mapping[str, str]] = []
    for image_id, subject in sorted(subjects.items()):
        name = name_of.get(("image", image_id)) or name_of.get(("subject", subject))
        if name is not None and name != subject:
            rows.append({"image": image_id, "subject_id": name})
    return rows


def write_merge(root: Path, folder: Path, rows: list[Mapping[str, str]]) -> None:
    """Writes the rows as a batch into a new folder, for a person to look at and to ingest.

    Raises:
        ValueError: The folder is there, or its name sorts before that of a batch of the data, which
            would count instead.
    """
    if folder.exists():
        raise ValueError(f"{folder} is there already: name a new folder")
    newest = max(read_present(root).batches, default="")
    if folder.name <= newest:
        raise ValueError(
            f"{folder.name} sorts before the batch {newest}, whose subjects would count: name it "
            f"so that it comes after, such as {newest}-merge"
        )
    folder.mkdir(parents=True)
    text = csv_text(["image", "subject_id"], rows)
    (folder / LABELS_FILE).write_text(text, encoding="utf-8")
