"""A batch that says of images of two subjects that they are of one, so that one split has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

_DIGITS = 12


def merged_subjects(
    pairs: Iterable[tuple[str, str]], images: pl.DataFrame
) -> dict[str, Mapping[str, str]]:
    """By image id a `subject_id` for labels.csv, such that the images of each pair have one.

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
    rows: dict[str, Mapping[str, str]] = {}
    for image_id, subject in sorted(subjects.items()):
        name = name_of.get(("image", image_id)) or name_of.get(("subject", subject))
        if name is not None and name != subject:
            rows[image_id] = {"subject_id": name}
    return rows
